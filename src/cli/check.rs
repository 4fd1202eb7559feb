//! `check`: every file planned, none run.

use std::collections::BTreeSet;
use std::fmt;
use std::io::Write;

use super::{CheckArgs, CliError, Exit};
use crate::experiment::{Experiment, Overrides, plan};
use crate::run::RunError;
use crate::text::visible;
use crate::trial::Plan;
use crate::units::Span;

/// Prints the trials and the expected time of each file; all that is wrong comes back together.
pub(super) fn check(args: &CheckArgs, out: &mut dyn Write) -> Result<Exit, CliError> {
    let overrides = Overrides::from(&args.change);
    let mut wrong = Vec::new();
    let (mut all, mut all_wide, mut described) = (Extent::default(), Extent::default(), 0);
    for file in &args.files {
        match Experiment::load_both(file, &overrides) {
            Ok([usual, wide]) => {
                let planned = plan::plan(&usual).map_err(RunError::from)?;
                let extent = Extent::of(&planned);
                let full = Extent::of(&plan::plan(&wide).map_err(RunError::from)?);
                describe(&planned, extent, full, out)?;
                (all, all_wide, described) = (all + extent, all_wide + full, described + 1);
            }
            Err(errors) => wrong.extend(errors),
        }
    }
    if described > 1 {
        writeln!(out, "{described} experiments: {all}{}", all_wide.beside(all))?;
    }
    if wrong.is_empty() { Ok(Exit::Good) } else { Err(CliError::Experiments(wrong)) }
}

/// How much is run.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
struct Extent {
    trials: usize,
    time: Span,
}

impl Extent {
    fn of(plan: &Plan) -> Self {
        Self { trials: plan.trials.len(), time: plan::expected_time(plan) }
    }

    /// What it is with `--full`, where that is any different.
    fn beside(self, usual: Self) -> String {
        if self == usual { String::new() } else { format!("; with --full {self}") }
    }
}

impl std::ops::Add for Extent {
    type Output = Self;

    fn add(self, other: Self) -> Self {
        Self { trials: self.trials + other.trials, time: self.time + other.time }
    }
}

impl fmt::Display for Extent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let trials = if self.trials == 1 { "trial" } else { "trials" };
        write!(f, "{} {trials}, about {}", self.trials, rounded(self.time))
    }
}

fn describe(plan: &Plan, extent: Extent, full: Extent, out: &mut dyn Write) -> std::io::Result<()> {
    let claims = match plan.claims.len() {
        1 => "1 claim".to_owned(),
        claims => format!("{claims} claims"),
    };
    let name = visible(&plan.experiment);
    writeln!(out, "{name}: {extent}, {claims}{}", full.beside(extent))?;
    let width = plan.factors.iter().map(String::len).max().unwrap_or(0);
    for factor in &plan.factors {
        let mut seen = BTreeSet::new();
        let levels = plan.trials.iter().filter_map(|trial| trial.levels.get(factor)).filter(|level| !level.is_null());
        let shown = |level: &serde_json::Value| level.as_str().map_or_else(|| level.to_string(), str::to_owned);
        let levels: Vec<String> = levels.map(shown).filter(|level| seen.insert(level.clone())).collect();
        let levels =
            if levels.is_empty() { "no trial here is any different for it".to_owned() } else { levels.join(", ") };
        writeln!(out, "  {factor:width$}  {}", visible(&levels))?;
    }
    write_unsupported(plan, out)?;
    if let Some(warning) = plan::warning(plan) {
        writeln!(out, "  warning: {warning}")?;
    }
    Ok(())
}

/// The trials that `run` would pass over, by the reason that it would give.
fn write_unsupported(plan: &Plan, out: &mut dyn Write) -> std::io::Result<()> {
    let mut reasons: Vec<(String, usize, BTreeSet<String>)> = Vec::new();
    for trial in &plan.trials {
        let Some(reason) = plan::unsupported(&trial.settings) else { continue };
        let (reason, who) = (reason.to_string(), format!("{} {}", trial.settings.client, trial.settings.protocol));
        match reasons.iter_mut().find(|(known, ..)| *known == reason) {
            Some((_, count, whose)) => {
                *count += 1;
                whose.insert(who);
            }
            None => reasons.push((reason, 1, BTreeSet::from([who]))),
        }
    }
    for (reason, count, whose) in reasons {
        let whose: Vec<String> = whose.into_iter().collect();
        writeln!(out, "  {count} unsupported ({}): {}", visible(&whose.join(", ")), visible(&reason))?;
    }
    Ok(())
}

/// Whole seconds below two minutes, whole minutes above; never less than it takes.
fn rounded(time: Span) -> String {
    match time.nanos().div_ceil(1_000_000_000) {
        seconds @ 0..120 => format!("{seconds} s"),
        seconds => format!("{} min", seconds.div_ceil(60)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::ChangeArgs;

    fn checked(files: &[&str]) -> (String, Result<Exit, CliError>) {
        let files = files.iter().map(|file| (*file).to_owned()).collect();
        let mut out = Vec::new();
        let result = check(&CheckArgs { files, change: ChangeArgs::default() }, &mut out);
        (String::from_utf8(out).unwrap(), result)
    }

    #[test]
    fn a_good_file_is_described_by_its_trials_and_time() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("two.toml");
        let text = "question = 'What?'\nclient = 'native'\nrepeats = 2\n[factors]\nprotocol = ['sse/h1', 'sse/h2']\n";
        std::fs::write(&path, text).unwrap();
        let (out, result) = checked(&[path.to_str().unwrap()]);
        assert_eq!(result.unwrap(), Exit::Good);
        assert_eq!(out, "two: 4 trials, about 16 s, 0 claims\n  client    native\n  protocol  sse/h1, sse/h2\n");
    }

    #[test]
    fn what_full_adds_is_told_and_what_all_files_come_to() {
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| folder.path().join(name).display().to_string();
        let text = "question = 'What?'\n[factors]\nprotocol = ['sse/h1']\n";
        std::fs::write(path("one.toml"), text).unwrap();
        std::fs::write(path("two.toml"), format!("{text}[full]\nprotocol = ['sse/h1', 'sse/h2', 'sse/h3']\n")).unwrap();
        let (out, result) = checked(&[&path("one.toml"), &path("two.toml")]);
        assert_eq!(result.unwrap(), Exit::Good);
        assert!(out.contains("one: 1 trial, about 4 s, 0 claims\n"), "{out}");
        assert!(out.contains("two: 1 trial, about 4 s, 0 claims; with --full 3 trials, about 12 s\n"), "{out}");
        assert!(out.ends_with("2 experiments: 2 trials, about 8 s; with --full 4 trials, about 16 s\n"), "{out}");
    }

    #[test]
    fn a_burst_to_two_hosts_under_one_certificate_is_warned_of() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("two.toml");
        let warned = |more: &str| {
            let text = format!("question = 'What?'\n{more}");
            std::fs::write(&path, text).unwrap();
            let (out, result) = checked(&[path.to_str().unwrap()]);
            assert_eq!(result.unwrap(), Exit::Good);
            out.contains("\n  warning: whether hosts under one certificate share a connection varies")
        };
        let two = "client = 'chromium'\nprotocol = 'sse/h2'\n[workload]\nhosts = 2\n";
        assert!(warned(two));
        assert!(warned(&two.replace("sse/h2", "sse/h3")));
        assert!(!warned(&format!("{two}open = 'after-settings'\n")), "the connection is there");
        assert!(!warned(&format!("{two}[server]\ncertificate = 'per-host'\n")), "nothing can be shared");
        assert!(!warned(&two.replace("hosts = 2", "hosts = 1")));
        assert!(!warned(&two.replace("sse/h2", "sse/h1")));
        assert!(!warned(&two.replace("chromium", "native")), "it dials each host");
        assert!(!warned(&format!("repeats = 5\n{two}")), "five rounds show it");
    }

    #[test]
    fn every_wrong_file_is_named_and_the_good_ones_are_still_described() {
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| folder.path().join(name).display().to_string();
        std::fs::write(path("good.toml"), "question = 'What?'").unwrap();
        std::fs::write(path("bad.toml"), "question = 'What?'\nzzz = 1").unwrap();
        let (out, result) = checked(&[&path("none.toml"), &path("good.toml"), &path("bad.toml")]);
        assert!(out.starts_with("good: 1 trial, "));
        let error = result.unwrap_err();
        assert_eq!(error.exit(), Exit::Usage);
        let lines: Vec<String> = error.to_string().lines().map(str::to_owned).collect();
        assert_eq!(lines.len(), 2);
        assert_eq!(lines[0], format!("could not read {}: No such file or directory (os error 2)", path("none.toml")));
        assert!(lines[1].starts_with(&format!("{}:2: unknown setting `zzz`", path("bad.toml"))));
    }

    #[test]
    fn what_run_would_pass_over_is_told_with_its_reason_and_what_nothing_reads_is_no_empty_line() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("two.toml");
        let text = "question = 'What?'\n[factors]\nclient = ['native', 'webkit']\nprotocol = ['sse/h3', 'quic/quic']\n\
            'polling.etag' = [true, false]\n";
        std::fs::write(&path, text).unwrap();
        let (out, result) = checked(&[path.to_str().unwrap()]);
        assert_eq!(result.unwrap(), Exit::Good);
        assert!(out.contains("\n  polling.etag  no trial here is any different for it\n"), "{out}");
        assert!(out.contains("\n  1 unsupported (webkit sse/h3): WebKitGTK has no HTTP/3\n"), "{out}");
        assert!(out.contains("\n  1 unsupported (webkit quic/quic): "), "{out}");
    }

    #[test]
    fn a_time_is_never_rounded_down() {
        assert_eq!(rounded(Span::from_millis(51_001)), "52 s");
        assert_eq!(rounded(Span::from_secs(121)), "3 min");
    }
}
