//! `certs`: makes or renews the lab's certificates, and prints their fingerprints.

use std::io::Write;

use time::macros::format_description;

use super::{CertsArgs, CliError, Exit};
use crate::certs::{Certs, base64, hex};
use crate::text::visible;

pub(super) fn certs(args: &CertsArgs, out: &mut dyn Write) -> Result<Exit, CliError> {
    let (certs, notices) = Certs::ensure(&args.certs, &args.host)?;
    for notice in notices {
        writeln!(out, "{}", visible(&notice))?;
    }
    let format = format_description!("[year]-[month]-[day] [hour]:[minute] UTC");
    let until = certs.not_after().format(format).unwrap_or_default();
    writeln!(out, "CA           {}", visible(&certs.ca_path().display().to_string()))?;
    writeln!(out, "names        {}", visible(&certs.names().join(", ")))?;
    writeln!(out, "valid until  {until}")?;
    for (what, digest) in [("certificate", certs.cert_sha256()), ("public key (SPKI)", certs.spki_sha256())] {
        writeln!(out, "SHA-256 of the {what}")?;
        writeln!(out, "  base64     {}", base64(&digest))?;
        writeln!(out, "  hex        {}", hex(&digest))?;
    }
    Ok(Exit::Good)
}
