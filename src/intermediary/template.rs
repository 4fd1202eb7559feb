//! A configuration and what changes in it, in one text.

use crate::trial::settings::IntermediaryConfig;

/// A configuration in which each line begins with what it is in: two blanks in both, `- ` in what the intermediary's
/// documentation begins with, `+ ` in what lets events through. What changes is nothing else than what is told.
#[derive(Debug, Clone, Copy)]
pub struct Template(pub(super) &'static str);

impl Template {
    /// The text of a configuration that is the lab's; `None`: it is somebody's own.
    pub fn text(self, config: &IntermediaryConfig) -> Option<String> {
        let without = match config {
            IntermediaryConfig::Default => "+ ",
            IntermediaryConfig::Streaming => "- ",
            IntermediaryConfig::Own(_) => return None,
        };
        let lines = self.0.lines().filter(|line| !line.starts_with(without));
        Some(lines.map(|line| line.get(2..).unwrap_or_default().to_owned() + "\n").collect())
    }

    /// What is taken out of the first one and put in for events, as a diff has it: `- …` and `+ …`, in order, each as far in
    /// from the outermost as it is there.
    pub fn changes(self) -> Vec<String> {
        let changed = self.0.lines().filter(|line| line.starts_with(['-', '+']));
        let changed: Vec<(&str, &str)> = changed.map(|line| line.split_at(2)).collect();
        let indent = |text: &str| text.len() - text.trim_start().len();
        let outermost = changed.iter().map(|(_, text)| indent(text)).min().unwrap_or(0);
        changed.into_iter().map(|(mark, text)| format!("{mark}{}", &text[outermost..])).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::intermediary::ALL;

    #[test]
    fn both_configurations_differ_in_what_is_marked_and_nothing_else() {
        let template = Template("  a {\n-     b;\n+     c;\n\n  }\n");
        let text = |config| template.text(&config).unwrap();
        assert_eq!(text(IntermediaryConfig::Default), "a {\n    b;\n\n}\n");
        assert_eq!(text(IntermediaryConfig::Streaming), "a {\n    c;\n\n}\n");
        assert_eq!(template.changes(), ["- b;", "+ c;"]);
        assert_eq!(Template("  a\n+     b:\n+       c\n").changes(), ["+ b:", "+   c"]);
        assert_eq!(template.text(&IntermediaryConfig::Own("./x".into())), None);
    }

    #[test]
    fn every_line_of_a_configuration_says_what_it_is_in() {
        for row in ALL {
            for line in row.template.0.lines() {
                let marked = ["  ", "- ", "+ "].iter().any(|mark| line.starts_with(mark));
                assert!(line.is_empty() || marked, "{}: {line:?}", row.name);
            }
        }
    }
}
