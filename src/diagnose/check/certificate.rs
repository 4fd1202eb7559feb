//! Certificates.

use time::macros::format_description;
use time::{Duration, OffsetDateTime};

use super::{Check, Severity, Told};

/// Whoever renews certificates by a clock has done it by then: Let's Encrypt's live for 90 days, and are renewed with
/// 30 left; those of six days with two left.
const SOON: Duration = Duration::days(7);
const SOON_OF_SHORT: Duration = Duration::days(1);
/// What lives less than this is renewed more often.
const SHORT: Duration = Duration::days(30);

pub(super) static INVALID: Check = Check {
    name: "certificate",
    look: |visit| {
        let fault = visit.tls.as_ref()?.fault.as_ref()?;
        Some(Told {
            severity: Severity::Loses,
            says: "No browser reads this: the certificate isn't valid.".to_owned(),
            evidence: vec![format!("it {fault}")],
            change: "a certificate for this name from a CA that readers trust, with its intermediate certificates"
                .to_owned(),
        })
    },
};

pub(super) static ENDING: Check = Check {
    name: "certificate-ends",
    look: |visit| {
        let tls = visit.tls.as_ref().filter(|tls| tls.fault.is_none())?;
        let own = tls.chain.first()?;
        let left = own.not_after - OffsetDateTime::now_utc();
        let soon = if own.not_after - own.not_before < SHORT { SOON_OF_SHORT } else { SOON };
        if left > soon {
            return None;
        }
        let format = format_description!("[year]-[month]-[day] [hour]:[minute] UTC");
        Some(Told {
            severity: Severity::Advice,
            says: "The certificate ends soon, and every reader with it.".to_owned(),
            evidence: vec![format!("it is valid until {}", own.not_after.format(format).unwrap_or_default())],
            change: "renew it, and see why that wasn't done by a clock".to_owned(),
        })
    },
};
