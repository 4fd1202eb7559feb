//! `new`: an experiment file to start from.

use std::fs::{self, OpenOptions};
use std::io::{ErrorKind, Write};
use std::path::{Path, PathBuf};

use clap::Args;
use clap_complete::engine::ArgValueCandidates;

use super::{CliError, Exit, complete};
use crate::experiment::builtin;
use crate::experiment::schema::file_schema;
use crate::report;
use crate::text::visible;

/// `new`.
#[derive(Debug, Clone, PartialEq, Eq, Args)]
#[command(after_help = "\
Examples:
  transport-lab new two-pages                       a file with every part explained
  transport-lab new my-six --from six-vs-hundred    a copy to change")]
pub struct NewArgs {
    /// What it is called; its file is experiments/NAME.toml.
    pub name: String,
    /// Begin with a copy of this experiment, a name or a path.
    #[arg(long, value_name = "EXPERIMENT", add = ArgValueCandidates::new(complete::experiments))]
    pub from: Option<String>,
}

/// Where experiments are looked for by name.
const FOLDER: &str = "experiments";
/// The schema that experiments name in their first line, for editors.
const SCHEMA: &str = "schema.json";

/// Writes the file, which must not exist yet, and the schema where there is none.
pub(super) fn new(args: &NewArgs, out: &mut dyn Write) -> Result<Exit, CliError> {
    let path = builtin::path_of(Path::new(FOLDER), &args.name).map_err(|error| CliError::Experiments(vec![error]))?;
    let text = match &args.from {
        None => builtin::TEMPLATE.replace("NAME", &args.name),
        Some(from) => builtin::text_of(from).map_err(|error| CliError::Experiments(vec![error]))?,
    };
    let unwritable = |path: &Path| {
        let path = path.to_owned();
        move |source| CliError::Page { path, source }
    };
    fs::create_dir_all(FOLDER).map_err(unwritable(Path::new(FOLDER)))?;
    let schema = Path::new(FOLDER).join(SCHEMA);
    create(&schema, &report::json(&file_schema())?).or_else(ignore_existing).map_err(unwritable(&schema))?;
    match create(&path, &text) {
        Err(error) if error.kind() == ErrorKind::AlreadyExists => return Err(CliError::Exists(path)),
        written => written.map_err(unwritable(&path))?,
    }
    let name = visible(&args.name);
    writeln!(
        out,
        "{}\n  transport-lab check {name}\n  transport-lab run {name}",
        visible(&path.display().to_string())
    )?;
    Ok(Exit::Good)
}

fn ignore_existing(error: std::io::Error) -> std::io::Result<()> {
    if error.kind() == ErrorKind::AlreadyExists { Ok(()) } else { Err(error) }
}

/// Nothing that is there is written over.
fn create(path: &PathBuf, text: &str) -> std::io::Result<()> {
    OpenOptions::new().write(true).create_new(true).open(path)?.write_all(text.as_bytes())
}
