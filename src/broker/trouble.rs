//! Why a connection to NATS could not be made: what its library says as what a person can do about it.

use std::error::Error;
use std::io;

use async_nats::{ConnectError, ConnectErrorKind};
use rustls::{AlertDescription, CertificateError};
use time::OffsetDateTime;

use super::credentials::expired;
use super::error::BrokerError;
use crate::trial::contract::BrokerOptions;

/// What may be the matter with TLS.
const AUTHORITY: &str = "--nats-ca names the authority that signed its certificate, as a PEM file";
const NAME: &str = "write its address by a name that its certificate is for";
const TIME: &str = "its certificate isn't valid at this time: renew it, or set this machine's clock";
const PLAIN: &str = "it speaks none there: write nats:// in place of tls://, or give it a certificate (`tls { … }`)";
const CLIENT: &str = "it asks its clients for certificates (`verify: true`), and this lab has none to show: set `verify: false` \
                      there, and let clients in by --nats-creds";

pub(super) fn refused(options: &BrokerOptions, source: ConnectError) -> BrokerError {
    let urls = options.addresses();
    if let Some(tls) = of_tls(&source) {
        return BrokerError::Tls { urls, advice: advice(tls), source };
    }
    match source.kind() {
        ConnectErrorKind::AuthorizationViolation | ConnectErrorKind::Authentication => {
            let file = options.credentials.as_ref();
            match file.and_then(|path| Some((path, expired(path, OffsetDateTime::now_utc())?))) {
                Some((path, since)) => BrokerError::Expired { urls, path: path.clone(), since, source },
                None => BrokerError::Denied { urls, given: file.is_some() || options.password.is_some(), source },
            }
        }
        ConnectErrorKind::Tls => BrokerError::Tls { urls, advice: AUTHORITY, source },
        _ => BrokerError::Unreachable { urls, source },
    }
}

fn advice(error: &rustls::Error) -> &'static str {
    use rustls::Error::{AlertReceived, InvalidCertificate, InvalidMessage};

    match error {
        InvalidCertificate(CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. }) => NAME,
        InvalidCertificate(
            CertificateError::Expired
            | CertificateError::ExpiredContext { .. }
            | CertificateError::NotValidYet
            | CertificateError::NotValidYetContext { .. },
        ) => TIME,
        // TLS 1.2 has no alert of its own for it.
        AlertReceived(AlertDescription::CertificateRequired | AlertDescription::BadCertificate) => CLIENT,
        InvalidMessage(_) => PLAIN,
        _ => AUTHORITY,
    }
}

/// What TLS says among the causes. One within an error of reading or writing is no source of that.
fn of_tls<'a>(error: &'a (dyn Error + 'static)) -> Option<&'a rustls::Error> {
    let mut next = Some(error);
    while let Some(error) = next {
        let within = error.downcast_ref::<io::Error>().and_then(io::Error::get_ref);
        let error: &'a (dyn Error + 'static) = match within {
            Some(within) => within,
            None => error,
        };
        if let Some(tls) = error.downcast_ref::<rustls::Error>() {
            return Some(tls);
        }
        next = error.source();
    }
    None
}
