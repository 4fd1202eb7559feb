//! More than the first thing that is wrong with a file: what is wrong is taken out, and the rest is checked again.

use toml::de::{DeArray, DeTable, DeValue};

use super::ExperimentError;
use super::source::ByteRange;
use super::tree::Value;

/// How much that is wrong is told at once: whoever has more has another kind of file.
const MOST: usize = 20;

/// Checks a document, and what is left of it without what was wrong, until nothing more is. A file with an error is none,
/// whatever is left of it.
pub(super) fn check_all<'i, T>(
    mut document: DeTable<'i>,
    check: impl Fn(DeTable<'i>) -> Result<T, ExperimentError>,
) -> Result<T, Vec<ExperimentError>> {
    let mut errors: Vec<ExperimentError> = Vec::new();
    loop {
        match check(document.clone()) {
            Ok(checked) if errors.is_empty() => return Ok(checked),
            Ok(_) => return Err(in_order(errors)),
            Err(error) => {
                let place = error.span();
                // What is said of the whole once something was taken out may follow from that.
                if place.is_some() || errors.is_empty() {
                    errors.push(error);
                }
                let taken = place.and_then(|place| take_out(&mut document, &place));
                if taken.is_none() || errors.len() == MOST {
                    return Err(in_order(errors));
                }
            }
        }
    }
}

/// As they stand in the file.
fn in_order(mut errors: Vec<ExperimentError>) -> Vec<ExperimentError> {
    errors.sort_by_key(|error| error.span().map_or(0, |span| span.start));
    errors
}

/// Takes the least part out of a table that something is wrong in: an entry, or an element of a list. `None` where it isn't
/// there.
fn take_out(table: &mut DeTable<'_>, place: &ByteRange) -> Option<()> {
    let found = table.iter().find_map(|(key, value)| {
        let here = contains(&key.span(), place) || contains(&value.span(), place) || reaches(value, place);
        here.then(|| key.clone())
    });
    let key = found?;
    let on_key = contains(&key.span(), place) && key.span().start == place.start;
    // An error about a whole value takes it out, not a part of it; a list of tables begins where its first does.
    let part = |value: &Value<'_>| value.get_ref().is_array() || value.span() != *place;
    let within = table.get_mut(&key).filter(|value| !on_key && part(value)).and_then(|value| take_out_of(value, place));
    within.or_else(|| table.remove(&key).map(drop))
}

fn take_out_of(value: &mut Value<'_>, place: &ByteRange) -> Option<()> {
    match value.get_mut() {
        DeValue::Table(table) => take_out(table, place),
        DeValue::Array(array) => {
            let at = array.iter().position(|element| contains(&element.span(), place) || reaches(element, place));
            let at = at?;
            // The last level goes with its factor: a factor without levels would be another error. So would be a claim
            // or a fault without one of its parts, which therefore goes whole.
            if array.len() == 1 && !matches!(array[at].get_ref(), DeValue::Table(_)) {
                return None;
            }
            let mut left = DeArray::new();
            for (index, element) in std::mem::replace(array, DeArray::new()).into_iter().enumerate() {
                if index != at {
                    left.push(element);
                }
            }
            *array = left;
            Some(())
        }
        _ => None,
    }
}

/// Whether a part of it is there. A table's own span is its head alone where it is written as `[table]`.
fn reaches(value: &Value<'_>, place: &ByteRange) -> bool {
    match value.get_ref() {
        DeValue::Table(table) => table.iter().any(|(key, value)| {
            contains(&key.span(), place) || contains(&value.span(), place) || reaches(value, place)
        }),
        DeValue::Array(array) => {
            array.iter().any(|element| contains(&element.span(), place) || reaches(element, place))
        }
        _ => false,
    }
}

fn contains(span: &ByteRange, place: &ByteRange) -> bool {
    span.start <= place.start && place.start < span.end
}

#[cfg(test)]
mod tests {
    use crate::experiment::source::ExperimentSource;
    use crate::experiment::{Overrides, file};

    fn wrong(text: &str) -> Vec<String> {
        let source = ExperimentSource::new("x.toml", text.to_owned()).unwrap();
        let parsed = file::parse("x".to_owned(), source, &Overrides::default());
        parsed.map_or_else(|errors| errors.iter().map(ToString::to_string).collect(), |_| Vec::new())
    }

    #[test]
    fn all_that_is_wrong_is_told_in_the_order_of_the_file() {
        let text = "question = 'Q?'\nclint = 'native'\n[factors]\nprotocol = ['sse/h2', 'sse/h4']\n\
            [workload]\nsubscribers = 0\nhold = 3\npags = 2\n[websocket]\nframes = 'words'\n\
            [[claim]]\nsays = 'So.'\nmetric = 'lost'\nequals = 0\n\
            [[claim]]\nsays = 'So.'\nsource = 'own'\nmetric = 'losst'\nequals = 0\n";
        let told = wrong(text);
        for (line, says) in [
            (2, "unknown setting `clint`; did you mean `client`?"),
            (4, "unknown protocol `sse/h4`"),
            (6, "`workload.subscribers` can't be 0"),
            (7, "`workload.hold` can't be integer `3`"),
            (8, "unknown setting `pags`"),
            (10, "`words`"),
            (11, "no `source` in [[claim]]; write where it is claimed, or `source = \"own\"`"),
            (18, "unknown metric `losst`"),
        ] {
            let place = format!("x.toml:{line}: ");
            assert!(
                told.iter().any(|error| error.starts_with(&place) && error.contains(says)),
                "{line} {says}: {told:#?}"
            );
        }
        assert_eq!(told.len(), 8, "{told:#?}");
        let line = |error: &String| error.split(':').nth(1).unwrap().parse::<u32>().unwrap();
        assert!(told.iter().map(line).is_sorted(), "{told:#?}");
    }

    #[test]
    fn one_thing_is_told_once_and_a_good_file_has_none() {
        assert_eq!(wrong("question = 'Q?'\n[factors]\nclient = ['firefix']\n").len(), 1);
        assert_eq!(wrong("question = 'Q?'\nfault = 3\n").len(), 1);
        assert_eq!(wrong("x").len(), 1);
        assert_eq!(wrong("question = 'Q?'\n"), [""; 0]);
        let many: Vec<String> = (0..50).map(|n| format!("z{n} = 1")).collect();
        assert_eq!(wrong(&format!("question = 'Q?'\n{}", many.join("\n"))).len(), super::MOST);
    }
}
