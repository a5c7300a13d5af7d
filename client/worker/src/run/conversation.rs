//! What a child says, on its output and on the socket.

use std::path::Path;

use boxwood_client::child::{LINE_PREFIX, Message, Reply};
use tokio::io::{AsyncBufRead, AsyncBufReadExt, AsyncRead, AsyncWriteExt, BufReader};
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinHandle;

/// Longest line; the rest of a longer one is a line of its own.
const LINE_BYTES: usize = 64 << 10;

/// Something that a child did.
#[derive(Debug)]
pub(super) enum Event {
    /// A line of output that is no message.
    Line(String),
    /// It speaks on the socket.
    Connected,
    /// A message, and who waits for the answer.
    Message(Message, Option<oneshot::Sender<Reply>>),
}

/// Reads an output of a child in a task of its own until it ends. Only standard output carries messages.
pub(super) fn read_output(
    output: Option<impl AsyncRead + Send + Unpin + 'static>,
    carries_messages: bool,
    events: mpsc::Sender<Event>,
) {
    let Some(output) = output else { return };
    tokio::spawn(async move {
        let mut reader = BufReader::new(output);
        while let Ok(Some(line)) = read_line(&mut reader).await {
            let message = line.trim_start().strip_prefix(LINE_PREFIX).filter(|_| carries_messages);
            let event = match message.map(Message::parse) {
                Some(Ok(message)) => Event::Message(message, None),
                Some(Err(error)) => Event::Line(format!("{line} [not understood: {error}]")),
                None => Event::Line(line),
            };
            if events.send(event).await.is_err() {
                return;
            }
        }
    });
}

/// Listens on a socket. Each connection is read to its end, also after the listening itself was aborted.
pub(super) fn listen(path: &Path, events: mpsc::Sender<Event>) -> std::io::Result<JoinHandle<()>> {
    let listener = UnixListener::bind(path)?;
    Ok(tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            if events.send(Event::Connected).await.is_err() {
                return;
            }
            tokio::spawn(serve(stream, events.clone()));
        }
    }))
}

async fn serve(stream: UnixStream, events: mpsc::Sender<Event>) {
    let (input, mut output) = stream.into_split();
    let mut reader = BufReader::new(input);
    while let Ok(Some(line)) = read_line(&mut reader).await {
        if line.trim().is_empty() {
            continue;
        }
        let reply = match Message::parse(&line) {
            Ok(message) => {
                let (sender, receiver) = oneshot::channel();
                if events.send(Event::Message(message, Some(sender))).await.is_err() {
                    return;
                }
                match receiver.await {
                    Ok(reply) => reply,
                    Err(_) => return,
                }
            }
            Err(error) => Reply::Error(error.to_string()),
        };
        let mut text = serde_json::to_vec(&reply).expect("a reply has text keys only");
        text.push(b'\n');
        if output.write_all(&text).await.is_err() {
            return;
        }
    }
}

/// One line without its end, lossily decoded. A carriage return ends a line too: progress bars use it.
async fn read_line(reader: &mut (impl AsyncBufRead + Unpin)) -> std::io::Result<Option<String>> {
    let mut line = Vec::new();
    loop {
        let available = reader.fill_buf().await?;
        if available.is_empty() {
            return Ok((!line.is_empty()).then(|| String::from_utf8_lossy(&line).into_owned()));
        }
        let room = available.len().min(LINE_BYTES - line.len());
        let end = available[..room].iter().position(|byte| matches!(byte, b'\n' | b'\r'));
        line.extend_from_slice(&available[..end.unwrap_or(room)]);
        reader.consume(end.map_or(room, |end| end + 1));
        if end.is_some() || line.len() == LINE_BYTES {
            return Ok(Some(String::from_utf8_lossy(&line).into_owned()));
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn lines_are_bounded_and_progress_bars_are_split() {
        let text = [b"1%\r2%\nlast".as_slice(), &vec![b'x'; LINE_BYTES]].concat();
        let mut reader = BufReader::new(text.as_slice());
        let mut lines = Vec::new();
        while let Some(line) = read_line(&mut reader).await.unwrap() {
            lines.push(line);
        }
        assert_eq!(lines.len(), 4);
        assert_eq!(
            (lines[0].as_str(), lines[1].as_str(), lines[2].len(), lines[3].len()),
            ("1%", "2%", LINE_BYTES, 4)
        );
    }
}
