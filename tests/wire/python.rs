//! aioquic as the client: its Huffman code, its frames, its capsules.

use std::path::Path;
use std::process::Command;

use crate::echo::Echo;

#[tokio::test]
async fn aioquic_opens_a_tunnel_and_sessions_on_one_connection_and_closes_them_with_a_reason() {
    let echo = Echo::start();
    let python = Path::new(env!("CARGO_TARGET_TMPDIR")).with_file_name("python").join("bin/python");
    assert!(python.exists(), "there is no {}; `tools/install.sh test` makes it", python.display());
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/wire/client.py");
    let mut command = Command::new(python);
    command.arg(script).arg(&echo.ca).arg(echo.target.port.to_string());
    let output = tokio::task::spawn_blocking(move || command.output()).await.unwrap().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    echo.sees("both ends", |seen| seen.ends.len() == 2).await;
    let ends = [(9, "genug für heute".to_owned()), (5, "enough".to_owned())];
    assert_eq!(echo.seen.borrow().ends, ends);
    assert_eq!(echo.seen.borrow().connected, 1);
    echo.assert_well().await;
}
