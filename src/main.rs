//! To come: for now, only the child that a browser's cage is.

#[tokio::main(flavor = "current_thread")]
async fn main() -> std::process::ExitCode {
    match std::env::args().skip(1).collect::<Vec<_>>().as_slice() {
        [child, browser] if child == "child" && browser == "browser" => {
            transport_lab::experiment::cage::run_child().await.into()
        }
        _ => std::process::ExitCode::from(2),
    }
}
