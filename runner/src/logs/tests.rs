use pipelines::log::records;

use super::*;

fn lines(pieces: Vec<Piece>) -> Vec<String> {
    let text = |bytes: Vec<u8>| String::from_utf8_lossy(&bytes).into_owned();
    pieces
        .into_iter()
        .map(|piece| match piece {
            Piece::Line(bytes) => text(bytes),
            Piece::Cut(bytes) => format!("{}…", bytes.len()),
        })
        .collect()
}

#[test]
fn lines_are_the_same_wherever_the_chunks_end() {
    let whole = b"one\ntwo\r\n\n\xffthree\nrest";
    for cut in 0..whole.len() {
        let mut splitter = LineSplitter::default();
        let mut pieces = splitter.push(&whole[..cut]);
        pieces.extend(splitter.push(&whole[cut..]));
        assert_eq!(lines(pieces), ["one", "two\r", "", "\u{fffd}three"]);
        assert_eq!(splitter.partial, b"rest");
    }
}

#[test]
fn a_line_of_exactly_the_limit_is_whole_and_a_longer_one_is_cut_without_loss() {
    let max = LOG_LINE_BYTES_MAX;
    for (length, expected) in [
        (max, vec![]),
        (max + 1, vec![max]),
        (2 * max + 5, vec![max; 2]),
    ] {
        let mut splitter = LineSplitter::default();
        let pieces = splitter.push(&vec![b'x'; length]);
        let cuts: Vec<usize> = pieces
            .iter()
            .map(|piece| match piece {
                Piece::Cut(bytes) | Piece::Line(bytes) => bytes.len(),
            })
            .collect();
        assert_eq!(cuts, expected, "{length}");
        assert_eq!(cuts.iter().sum::<usize>() + splitter.partial.len(), length);
    }
}

#[tokio::test]
async fn a_log_keeps_voices_steps_and_blank_lines() {
    let (log, mut local) = JobLog::local();
    log.note(0, "first\nsecond").await;
    log.line(1, Voice::Out, b"").await;
    log.line(1, Voice::Err, b"bad\n").await;
    let mut stream = log.step(2).stream(Voice::Out);
    stream.write(b"half").await;
    stream.write(b" and half\nno end").await;
    stream.end().await;
    drop((log, stream));
    let mut file = Vec::new();
    while let Some(record) = local.next().await {
        file.extend(record);
    }
    let seen: Vec<(u32, Voice, &[u8])> = records(&file)
        .map(|record| (record.step, record.voice, record.text))
        .collect();
    let expected: [(u32, Voice, &[u8]); 6] = [
        (0, Voice::Note, b"first"),
        (0, Voice::Note, b"second"),
        (1, Voice::Out, b""),
        (1, Voice::Err, b"bad"),
        (2, Voice::Out, b"half and half"),
        (2, Voice::Out, b"no end"),
    ];
    assert_eq!(seen, expected);
}
