//! What a reader's address says after its `?`.

use std::borrow::Cow;

/// How many names a query may have.
const MOST: usize = 32;

/// A query's names and values, each name once. They stay in the address where nothing in them is escaped.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Query<'a>(Vec<(Cow<'a, str>, Cow<'a, str>)>);

/// Why a query can't be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum QueryError {
    /// A name is there twice: one reader of it would believe the first, another the last.
    #[error("the query names something twice")]
    Twice,
    #[error("the query names more than {MOST} things")]
    TooMany,
}

impl<'a> Query<'a> {
    /// Reads what is after the `?`.
    pub fn read(text: &'a str) -> Result<Self, QueryError> {
        let mut query = Self::default();
        for (name, value) in form_urlencoded::parse(text.as_bytes()) {
            if query.get(&name).is_some() {
                return Err(QueryError::Twice);
            }
            if query.0.len() == MOST {
                return Err(QueryError::TooMany);
            }
            query.0.push((name, value));
        }
        Ok(query)
    }

    /// The value of this name.
    pub fn get(&self, name: &str) -> Option<&str> {
        self.0.iter().find(|(named, _)| named == name).map(|(_, value)| value.as_ref())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_query_says_each_thing_once_and_not_too_many() {
        let query = Query::read("after=k3f9-18&wait=30s&empty=&bare&a%20b=%C3%A9").unwrap();
        let values = ["after", "wait", "empty", "bare", "a b", "other"].map(|name| query.get(name));
        assert_eq!(values, [Some("k3f9-18"), Some("30s"), Some(""), Some(""), Some("é"), None]);
        assert_eq!(Query::read(""), Ok(Query::default()));
        for twice in ["a=1&a=1", "a&b&a=2", "wait=1s&w%61it=2s"] {
            assert_eq!(Query::read(twice), Err(QueryError::Twice), "{twice}");
        }
        let many = |count: usize| (0..count).map(|k| format!("n{k}=1")).collect::<Vec<_>>().join("&");
        assert_eq!(Query::read(&many(MOST)).map(|query| query.0.len()), Ok(MOST));
        assert_eq!(Query::read(&many(MOST + 1)), Err(QueryError::TooMany));
    }
}
