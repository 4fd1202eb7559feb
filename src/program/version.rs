//! Versions, and which are too old.

use super::Found;
use crate::trial::Unsupported;

/// The program that was found, unless it is older than what its configuration is written for.
pub(crate) fn at_least(found: Found, least: [u32; 3]) -> Result<Found, Unsupported> {
    let version = parts(&found.version);
    if version >= least {
        return Ok(found);
    }
    let [major, minor, patch] = least;
    let Found { title, path, version } = found;
    Err(format!("{title} {version} ({}) is too old: take {major}.{minor}.{patch} or later", path.display()).into())
}

/// The first three numbers of a version; one that isn't said is 0.
pub(crate) fn parts(version: &str) -> [u32; 3] {
    let mut numbers = version.split(|c: char| !c.is_ascii_digit()).map(|number| number.parse().unwrap_or(0));
    std::array::from_fn(|_| numbers.next().unwrap_or(0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_compared_by_their_numbers() {
        let with = |version: &str| {
            let found = Found { title: "nginx".to_owned(), path: "/bin/nginx".into(), version: version.to_owned() };
            at_least(found, [1, 19, 5]).err().map(|why| why.to_string()).unwrap_or_default()
        };
        for version in ["1.19.5", "1.22.1-9+deb12u11", "1.100", "2"] {
            assert_eq!(with(version), "", "{version}");
        }
        assert_eq!(with("1.9.15"), "nginx 1.9.15 (/bin/nginx) is too old: take 1.19.5 or later");
        assert!(with("1.19").contains("too old"));
    }
}
