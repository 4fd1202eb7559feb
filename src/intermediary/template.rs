//! A configuration and what changes in it, in one text.

use crate::trial::settings::{Compression, IntermediaryConfig};

/// A configuration in which each line begins with what it is in: two blanks in both, `- ` in what the intermediary's
/// documentation begins with, `+ ` in what lets events through, `z ` in either where it is to compress. What changes is
/// nothing else than what is told.
#[derive(Debug, Clone, Copy)]
pub struct Template(pub(super) &'static str);

impl Template {
    /// The text of a configuration that is the lab's; `None`: it is somebody's own.
    pub fn text(self, config: &IntermediaryConfig, compression: Compression) -> Option<String> {
        if let IntermediaryConfig::Own(_) = config {
            return None;
        }
        let lines = self.0.lines().filter(|line| is_in(line, config, compression));
        Some(lines.map(|line| line.get(2..).unwrap_or_default().to_owned() + "\n").collect())
    }

    /// What is taken out of the first one and put in, as a diff has it: `- …` and `+ …`, in order, each as far in from the
    /// outermost as it is there.
    pub fn changes(self, config: &IntermediaryConfig, compression: Compression) -> Vec<String> {
        let first = |line: &str| is_in(line, &IntermediaryConfig::Default, Compression::Off);
        let change = |line: &'static str| match (first(line), is_in(line, config, compression)) {
            (true, false) => Some(("- ", &line[2..])),
            (false, true) => Some(("+ ", &line[2..])),
            _ => None,
        };
        let changed: Vec<_> = self.0.lines().filter_map(change).collect();
        let indent = |text: &str| text.len() - text.trim_start().len();
        let outermost = changed.iter().map(|(_, text)| indent(text)).min().unwrap_or(0);
        changed.into_iter().map(|(mark, text)| format!("{mark}{}", &text[outermost..])).collect()
    }
}

/// Whether a line is in a configuration. One that is somebody's own changes nothing that is known.
fn is_in(line: &str, config: &IntermediaryConfig, compression: Compression) -> bool {
    match line.get(..2) {
        Some("- ") => *config != IntermediaryConfig::Streaming,
        Some("+ ") => *config == IntermediaryConfig::Streaming,
        Some("z ") => compression.is_on() && !matches!(config, IntermediaryConfig::Own(_)),
        _ => true,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::intermediary::ALL;

    #[test]
    fn both_configurations_differ_in_what_is_marked_and_nothing_else() {
        let template = Template("  a {\n-     b;\n+     c;\nz     d;\n\n  }\n");
        let (default, streaming) = (IntermediaryConfig::Default, IntermediaryConfig::Streaming);
        let text = |config, compression| template.text(config, compression).unwrap();
        assert_eq!(text(&default, Compression::Off), "a {\n    b;\n\n}\n");
        assert_eq!(text(&streaming, Compression::Off), "a {\n    c;\n\n}\n");
        assert_eq!(text(&default, Compression::Gzip), "a {\n    b;\n    d;\n\n}\n");
        assert_eq!(template.changes(&default, Compression::Off), [""; 0]);
        assert_eq!(template.changes(&streaming, Compression::Off), ["- b;", "+ c;"]);
        assert_eq!(template.changes(&default, Compression::Br), ["+ d;"]);
        let deeper = Template("  a\n+     b:\n+       c\n").changes(&streaming, Compression::Off);
        assert_eq!(deeper, ["+ b:", "+   c"]);
        let own = IntermediaryConfig::Own("./x".into());
        assert_eq!(template.text(&own, Compression::Gzip), None);
        assert_eq!(template.changes(&own, Compression::Gzip), [""; 0]);
    }

    #[test]
    fn every_line_of_a_configuration_says_what_it_is_in() {
        for row in ALL {
            for line in row.template.0.lines() {
                let marked = ["  ", "- ", "+ ", "z "].iter().any(|mark| line.starts_with(mark));
                assert!(line.is_empty() || marked, "{}: {line:?}", row.name);
            }
        }
    }
}
