//! The pages of a server whose trial asks for some: a trial page of the streams' own origin, a page for another tab.

use http::header::{CONTENT_SECURITY_POLICY, CONTENT_TYPE};
use http::{HeaderValue, Response};

use crate::page::{self, Framing};
use crate::wire::ResponseBody;

/// The pages, which report to a control origin.
#[derive(Debug)]
pub(super) struct Pages {
    control: String,
}

impl Pages {
    pub(super) fn new(control: &str) -> Self {
        Self { control: control.to_owned() }
    }

    /// What is at this path, as at the control origin. Nothing in it is secret: it speaks for a trial with the token
    /// in its own address, which the control origin asks for.
    pub(super) fn at(&self, path: &str) -> Option<Response<ResponseBody>> {
        let mut parts = path.strip_prefix('/')?.split('/');
        match (parts.next()?, parts.next(), parts.next(), parts.next()) {
            ("trials", Some(_), Some("page"), None) => Some(html(page::trial(&self.control), Framing::Trial)),
            ("trials", Some(_), Some("tab"), None) => Some(html(page::tab(&self.control), Framing::Tab)),
            ("cover", None, None, None) => Some(html(page::cover().to_owned(), Framing::Alone)),
            ("assets", Some(file), None, None) => page::file(file).map(|(kind, text)| of(kind, text.to_owned())),
            ("transports", Some(file), None, None) => {
                page::transport(file).map(|(kind, text)| of(kind, text.to_owned()))
            }
            _ => None,
        }
    }
}

fn html(content: String, framing: Framing) -> Response<ResponseBody> {
    let mut response = of(page::HTML, content);
    response.headers_mut().insert(CONTENT_SECURITY_POLICY, page::policy(framing));
    response
}

fn of(kind: &'static str, content: String) -> Response<ResponseBody> {
    let mut response = Response::new(ResponseBody::whole(content));
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(kind));
    for (name, value) in page::ISOLATION {
        headers.insert(name, HeaderValue::from_static(value));
    }
    response
}
