//! `/bulk`: as many bytes as were asked for, on every version of HTTP.

use transport_lab::trial::Alpn;

use crate::lab::Lab;

#[test]
fn a_download_is_as_long_as_was_asked_for_and_no_longer_than_may_be() {
    let lab = Lab::serve(&[]);
    for alpn in Alpn::HTTP {
        for bytes in [0, 1, 16 * 1024, 300_000] {
            let answer = lab.ask(alpn, &format!("/bulk?bytes={bytes}"), &[]);
            assert_eq!((answer.head.status, answer.body.len()), (200, bytes), "{alpn:?}");
            assert_eq!(answer.head.field("content-length"), bytes.to_string(), "{alpn:?}");
        }
        for wrong in ["", "?bytes=", "?bytes=-1", "?bytes=1e3", "?bytes=268435457"] {
            lab.ask(alpn, &format!("/bulk{wrong}"), &[]).assert_refused(400, "from 0 to 268435456");
        }
    }
}
