//! Where certificates and results are, when nobody says so.

use std::path::{Path, PathBuf};

use directories::ProjectDirs;
use serde::Deserialize;

/// What says where certificates are, unless `--certs` does.
pub(super) const CERTS: &str = "TRANSPORT_LAB_CERTS";
/// What says where results are, unless `--out` does.
pub(super) const RESULTS: &str = "TRANSPORT_LAB_RESULTS";

/// Where certificates are: in a checkout of the project its own folder, elsewhere the user's, so that one CA serves all.
pub(super) fn certs() -> PathBuf {
    place("certs")
}

/// Where results are, likewise.
pub(super) fn results() -> PathBuf {
    place("results")
}

fn place(name: &str) -> PathBuf {
    let here = std::env::current_dir().unwrap_or_default();
    match checkout(&here) {
        // As a person would type it.
        Some(root) if root == here => PathBuf::from(name),
        Some(root) => root.join(name),
        // The XDG Base Directory Specification's `$XDG_DATA_HOME`, and what other platforms have for it.
        None => ProjectDirs::from("", "", env!("CARGO_PKG_NAME"))
            .map_or_else(|| PathBuf::from(name), |user| user.data_dir().join(name)),
    }
}

/// The checkout of the project that the folder is in.
fn checkout(folder: &Path) -> Option<&Path> {
    #[derive(Deserialize)]
    struct Manifest {
        package: Package,
    }
    #[derive(Deserialize)]
    struct Package {
        name: String,
    }
    let is_ours = |folder: &&Path| {
        let manifest = std::fs::read_to_string(folder.join("Cargo.toml")).ok();
        manifest
            .and_then(|text| toml::from_str::<Manifest>(&text).ok())
            .is_some_and(|manifest| manifest.package.name == env!("CARGO_PKG_NAME"))
    };
    folder.ancestors().find(is_ours)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_checkout_is_known_by_its_name_from_any_folder_in_it() {
        let dir = tempfile::tempdir().unwrap();
        let inner = dir.path().join("a/b");
        std::fs::create_dir_all(&inner).unwrap();
        assert_eq!(checkout(&inner), None);
        let manifest = |name: &str| format!("[package]\nname = \"{name}\"\nversion = \"1.0.0\"\n");
        std::fs::write(dir.path().join("Cargo.toml"), manifest("another")).unwrap();
        assert_eq!(checkout(&inner), None, "another project's folder is none");
        std::fs::write(dir.path().join("Cargo.toml"), manifest("transport-lab")).unwrap();
        assert_eq!(checkout(&inner), Some(dir.path()));
    }
}
