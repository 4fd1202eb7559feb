//! Messages as lines of JSON over two streams of bytes.

use serde::Serialize;
use serde::de::DeserializeOwned;
use tokio::io::{AsyncBufRead, AsyncBufReadExt, AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, BufReader};
use tokio::sync::mpsc;

/// How long a line may be, in bytes: the receipts of one subscription are one line.
const MAX_LINE: u64 = 64 * 1024 * 1024;
/// How much is written at once, in bytes; a line that begins below it is written whole.
pub(super) const WRITE_BYTES: usize = 128 * 1024;
/// How much a login may say before an agent's first message, in bytes: `echo` in a shell's start-up file, say.
const MAX_PRELUDE: usize = 64 * 1024;
/// Messages that wait to be sent or taken; whoever has more waits.
pub(super) const WAITING: usize = 4096;

/// Why nothing more comes.
#[derive(Debug, thiserror::Error)]
pub enum PipeError {
    #[error("could not be read")]
    Read(#[from] std::io::Error),
    #[error("it says what no Transport Lab says: {0}")]
    Line(String),
    /// Whoever spoke before an agent did, and then none came: the last of it, quoted.
    #[error("it ended before it said what it is, and what it said last is no Transport Lab's: {0}")]
    Prelude(String),
    #[error("a line of more than {MAX_LINE} bytes")]
    TooLong,
    #[error("it has closed the session")]
    Closed,
    /// Something between was lost.
    #[error("{missing} of its messages were lost on the way")]
    Missing { missing: u64 },
}

/// Both ways to whoever is at the other end. Dropping `out` closes it.
#[derive(Debug)]
pub struct Pipe<In, Out> {
    pub out: mpsc::Sender<Out>,
    /// For what means nothing later: it waits behind nothing, where the carrier has a way for that.
    pub now: mpsc::Sender<Out>,
    /// Closed once the other end is gone.
    pub incoming: mpsc::Receiver<Result<In, PipeError>>,
}

/// A pipe of what is read, by [`read`] or [`read_after_login`], and what is written to a stream of bytes.
pub(super) fn over<In, Out: Serialize + Send + 'static>(
    incoming: mpsc::Receiver<Result<In, PipeError>>,
    writer: impl AsyncWrite + Unpin + Send + 'static,
) -> Pipe<In, Out> {
    let (out, messages) = mpsc::channel(WAITING);
    tokio::spawn(write(messages, writer));
    Pipe { now: out.clone(), out, incoming }
}

/// Reads messages from a stream until it ends or says what isn't one.
pub(super) fn read<In: DeserializeOwned + Send + 'static>(
    reader: impl AsyncRead + Unpin + Send + 'static,
) -> mpsc::Receiver<Result<In, PipeError>> {
    read_after(reader, 0)
}

/// The same of an agent that is started by a login, whose shell may have something to say first.
pub(super) fn read_after_login<In: DeserializeOwned + Send + 'static>(
    reader: impl AsyncRead + Unpin + Send + 'static,
) -> mpsc::Receiver<Result<In, PipeError>> {
    read_after(reader, MAX_PRELUDE)
}

/// The same after so many bytes, at most, of lines that are no messages. If none comes, the last of these is told.
fn read_after<In: DeserializeOwned + Send + 'static>(
    reader: impl AsyncRead + Unpin + Send + 'static,
    mut prelude: usize,
) -> mpsc::Receiver<Result<In, PipeError>> {
    let (lines, incoming) = mpsc::channel(WAITING);
    tokio::spawn(async move {
        let mut reader = BufReader::new(reader);
        let mut passed_over = None;
        while let Some(Line { read, from_others }) = line(&mut reader).await {
            if let Some(left) = from_others.and_then(|bytes| prelude.checked_sub(bytes)) {
                (prelude, passed_over) = (left, Some(read));
                continue;
            }
            (prelude, passed_over) = (0, None);
            let last = read.is_err();
            if lines.send(read).await.is_err() || last {
                return;
            }
        }
        if let Some(Err(PipeError::Line(quoted))) = passed_over {
            let _ = lines.send(Err(PipeError::Prelude(quoted))).await;
        }
    });
    incoming
}

/// A line.
struct Line<In> {
    read: Result<In, PipeError>,
    /// How long it is, in bytes, if it is no message and whoever speaks before an agent may have said it.
    from_others: Option<usize>,
}

async fn line<In: DeserializeOwned>(reader: &mut (impl AsyncBufRead + Unpin)) -> Option<Line<In>> {
    let mut line = Vec::new();
    let failed = |error| Some(Line { read: Err(error), from_others: None });
    loop {
        line.clear();
        let read = match (&mut *reader).take(MAX_LINE).read_until(b'\n', &mut line).await {
            Ok(0) => return None,
            Ok(read) => read,
            Err(error) => return failed(error.into()),
        };
        if !line.ends_with(b"\n") {
            // Cut short by the end of the stream: whoever wrote it is gone.
            return if read as u64 == MAX_LINE { failed(PipeError::TooLong) } else { None };
        }
        if !line.trim_ascii().is_empty() {
            let parsed = serde_json::from_slice(&line).map_err(|_| PipeError::Line(crate::participant::quoted(&line)));
            // What begins as a message does was to be one.
            let from_others = (parsed.is_err() && !line.trim_ascii_start().starts_with(b"{")).then_some(read);
            return Some(Line { read: parsed, from_others });
        }
    }
}

async fn write<Out: Serialize>(mut messages: mpsc::Receiver<Out>, mut writer: impl AsyncWrite + Unpin) {
    while let Some(lines) = together(&mut messages).await {
        if writer.write_all(&lines).await.is_err() || writer.flush().await.is_err() {
            return;
        }
    }
    let _ = writer.shutdown().await;
}

/// The lines of all messages that wait, as far as they are written at once; waits for the first.
pub(super) async fn together<Out: Serialize>(messages: &mut mpsc::Receiver<Out>) -> Option<Vec<u8>> {
    let mut next = Some(messages.recv().await?);
    let mut lines = Vec::new();
    while let Some(message) = next.take() {
        let begun = lines.len();
        match serde_json::to_writer(&mut lines, &message) {
            Ok(()) => lines.push(b'\n'),
            Err(_) => lines.truncate(begun),
        }
        if lines.len() < WRITE_BYTES {
            next = messages.try_recv().ok();
        }
    }
    Some(lines)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn messages_cross_and_what_is_none_ends_it_with_what_was_said() {
        let (near, far) = tokio::io::duplex(16);
        let ((near_in, near_out), (far_in, mut far_out)) = (tokio::io::split(near), tokio::io::split(far));
        let mut near: Pipe<u32, String> = over(read(near_in), near_out);
        let mut heard = read::<String>(far_in);
        for word in ["one", "a longer word than the stream holds at once"] {
            near.out.send(word.to_owned()).await.unwrap();
            assert_eq!(heard.recv().await.unwrap().unwrap(), word);
        }
        far_out.write_all(b"7\n\nhello\n8\n").await.unwrap();
        assert_eq!(near.incoming.recv().await.unwrap().unwrap(), 7);
        let error = near.incoming.recv().await.unwrap().unwrap_err().to_string();
        assert_eq!(error, "it says what no Transport Lab says: \"hello\"");
        assert!(near.incoming.recv().await.is_none(), "nothing is read after that");
    }

    #[tokio::test]
    async fn what_a_login_says_first_is_passed_over_and_told_where_nothing_else_comes() {
        let mut heard = read_after::<u32>(&b"Welcome\n\n1\nhello\n2\n"[..], 100);
        assert_eq!(heard.recv().await.unwrap().unwrap(), 1);
        assert!(heard.recv().await.unwrap().is_err(), "after the first message nobody else has anything to say");
        assert!(heard.recv().await.is_none());
        let mut heard = read_after::<u32>(&b"Welcome\nno lab here\n"[..], 100);
        let error = heard.recv().await.unwrap().unwrap_err().to_string();
        assert!(error.ends_with("what it said last is no Transport Lab's: \"no lab here\""), "{error}");
        let mut heard = read_after::<u32>(&b"{\"type\":\"hello\"}\n1\n"[..], 100);
        assert!(heard.recv().await.unwrap().is_err(), "a message of another lab's");
        let mut heard = read_after::<u32>(&b"a long welcome\n1\n"[..], 10);
        assert!(heard.recv().await.unwrap().is_err(), "it has an end");
    }

    #[tokio::test]
    async fn half_a_line_is_nobodys_message() {
        let mut heard = read::<u32>(&b"1\n2"[..]);
        assert_eq!(heard.recv().await.unwrap().unwrap(), 1);
        assert!(heard.recv().await.is_none());
    }
}
