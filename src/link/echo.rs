//! How long a word takes over a link and back, by the clocks of sockets and not by the link's own.

use std::io::ErrorKind;
use std::net::{Ipv4Addr, UdpSocket};
use std::thread;
use std::time::{Duration, Instant};

use super::{Link, LinkError, SERVER};

/// How long is waited for a word that comes back.
const PATIENCE: Duration = Duration::from_secs(2);
/// What tells the end that answers to go.
const LAST: &[u8] = b"last";

impl Link {
    /// Sends so many words to the server's end and back, one after another, and gives how long each took, in nanoseconds.
    /// One that doesn't come back has no time.
    pub fn round_trips(&self, words: u32) -> Result<Vec<u64>, LinkError> {
        let failed = |source| LinkError::of("send a word over the link", source);
        let bind = |address: Ipv4Addr| UdpSocket::bind((address, 0)).map_err(failed);
        let server = self.server.within(|| bind(SERVER))??;
        let client = self.client.within(|| bind(Ipv4Addr::UNSPECIFIED))??;
        server.set_read_timeout(Some(PATIENCE)).map_err(failed)?;
        client.set_read_timeout(Some(PATIENCE)).map_err(failed)?;
        client.connect(server.local_addr().map_err(failed)?).map_err(failed)?;
        thread::scope(|scope| {
            scope.spawn(|| {
                let mut word = [0; 8];
                while let Ok((bytes, from)) = server.recv_from(&mut word) {
                    if &word[..bytes] == LAST || server.send_to(&word[..bytes], from).is_err() {
                        break;
                    }
                }
            });
            let mut took = Vec::new();
            for word in 0..words {
                let sent = Instant::now();
                client.send(&word.to_be_bytes()).map_err(failed)?;
                match client.recv(&mut [0; 8]) {
                    Ok(_) => took.push(u64::try_from(sent.elapsed().as_nanos()).unwrap_or(u64::MAX)),
                    Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {}
                    Err(source) => return Err(failed(source)),
                }
            }
            client.send(LAST).map_err(failed)?;
            Ok(took)
        })
    }
}
