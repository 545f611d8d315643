//! F73: what may come back from a server, and what may not.

use std::io::Cursor;

use super::*;

const ROOTS: [&str; 2] = ["/workspace/target", "/usr/local/cargo"];

fn roots() -> Vec<String> {
    ROOTS.map(str::to_owned).into()
}

type Draft = tar::Builder<Vec<u8>>;

fn entry(kind: EntryType, size: u64) -> tar::Header {
    let mut header = tar::Header::new_gnu();
    header.set_entry_type(kind);
    header.set_mode(0o755);
    header.set_uid(1000);
    header.set_gid(1000);
    header.set_mtime(1);
    header.set_size(size);
    header
}

fn folder(draft: &mut Draft, path: &str) {
    let mut header = entry(EntryType::Directory, 0);
    draft.append_data(&mut header, path, io::empty()).unwrap();
}

fn file(draft: &mut Draft, path: &str, content: &[u8]) {
    let mut header = entry(EntryType::Regular, content.len() as u64);
    draft.append_data(&mut header, path, content).unwrap();
}

fn link(draft: &mut Draft, kind: EntryType, path: &str, target: &str) {
    let mut header = entry(kind, 0);
    draft.append_link(&mut header, path, target).unwrap();
}

/// Something whose name is written as it is, whatever it says.
fn raw(draft: &mut Draft, kind: EntryType, path: &[u8], content: &[u8]) {
    let mut header = entry(kind, content.len() as u64);
    header.as_gnu_mut().unwrap().name[..path.len()].copy_from_slice(path);
    header.set_cksum();
    draft.append(&header, content).unwrap();
}

fn packed(write: impl FnOnce(&mut Draft)) -> Vec<u8> {
    let mut draft = tar::Builder::new(Vec::new());
    folder(&mut draft, "workspace/target");
    write(&mut draft);
    zstd::encode_all(Cursor::new(draft.into_inner().unwrap()), LEVEL).unwrap()
}

fn checked(packed: &[u8]) -> Result<Content, String> {
    check(packed, packed.len() as u64, &roots()).map_err(|error| error.to_string())
}

fn refusal(write: impl FnOnce(&mut Draft)) -> String {
    checked(&packed(write)).unwrap_err()
}

#[test]
fn files_folders_and_links_that_stay_inside_pass() {
    let long = format!("workspace/target/{}/{}", "a".repeat(120), "b".repeat(120));
    let packed = packed(|draft| {
        folder(draft, &format!("workspace/target/{}", "a".repeat(120)));
        file(draft, &long, b"content");
        link(draft, EntryType::Link, "workspace/target/again", &long);
        link(
            draft,
            EntryType::Symlink,
            "workspace/target/up",
            "../packages/x",
        );
        link(
            draft,
            EntryType::Symlink,
            "workspace/target/other",
            "/usr/local/cargo/bin",
        );
        folder(draft, "usr/local/cargo");
        file(draft, "usr/local/cargo/config", b"");
    });
    assert_eq!(checked(&packed).map(|content| content.entries), Ok(8));
}

#[test]
fn paths_that_lead_out_are_refused() {
    let refusals = [
        &b"workspace/target/../../etc/passwd"[..],
        b"/workspace/target/x",
        b"../x",
        b"etc/passwd",
        b"workspace/targets",
        b"workspace/target//x",
        b"workspace/target/./x",
        b"",
    ]
    .map(|path| refusal(|draft| raw(draft, EntryType::Regular, path, b"x")));
    assert_eq!(
        refusals,
        [
            "the path `workspace/target/../../etc/passwd` is not a plain one",
            "the path `/workspace/target/x` is not a plain one",
            "the path `../x` is not a plain one",
            "`etc/passwd` is not one of the paths it keeps",
            "`workspace/targets` is not one of the paths it keeps",
            "the path `workspace/target//x` is not a plain one",
            "the path `workspace/target/./x` is not a plain one",
            "the path `` is not a plain one",
        ]
    );
}

#[test]
fn symlinks_that_lead_out_are_refused() {
    for target in [
        "/etc",
        "../../etc",
        "../../../workspace/target",
        "/usr/local",
    ] {
        let why = refusal(|draft| link(draft, EntryType::Symlink, "workspace/target/x", target));
        assert_eq!(
            why, "the symlink `workspace/target/x` leads out",
            "{target}"
        );
    }
}

#[test]
fn nothing_is_written_through_a_symlink() {
    let why = refusal(|draft| {
        link(
            draft,
            EntryType::Symlink,
            "workspace/target/x",
            "/usr/local/cargo",
        );
        file(draft, "workspace/target/x/config", b"");
    });
    assert_eq!(
        why,
        "`workspace/target/x/config` is in nothing that is a folder"
    );
}

#[test]
fn a_path_comes_once() {
    let twice: [fn(&mut Draft); 3] = [
        |draft| file(draft, "workspace/target/x", b"2"),
        |draft| folder(draft, "workspace/target/x"),
        |draft| link(draft, EntryType::Symlink, "workspace/target/x", "y"),
    ];
    for again in twice {
        let why = refusal(|draft| {
            link(draft, EntryType::Symlink, "workspace/target/x", "y");
            again(draft);
        });
        assert_eq!(why, "`workspace/target/x` is there twice");
    }
}

#[test]
fn hardlinks_to_anything_but_a_file_of_the_archive_are_refused() {
    for target in [
        "etc/passwd",
        "/etc/passwd",
        "workspace/target",
        "workspace/target/later",
    ] {
        let why = refusal(|draft| {
            link(draft, EntryType::Link, "workspace/target/x", target);
            file(draft, "workspace/target/later", b"");
        });
        let expected = "`workspace/target/x` is a link to nothing that came before";
        assert_eq!(why, expected, "{target}");
    }
}

#[test]
fn devices_pipes_and_the_like_are_refused() {
    let kinds = [
        EntryType::Char,
        EntryType::Block,
        EntryType::Fifo,
        EntryType::GNUSparse,
        EntryType::Continuous,
    ];
    for kind in kinds {
        let why = refusal(|draft| raw(draft, kind, b"workspace/target/x", b""));
        assert_eq!(
            why, "it has something that is no file, folder or link",
            "{kind:?}"
        );
    }
}

#[test]
fn a_pax_size_that_contradicts_the_header_is_refused() {
    for kind in [EntryType::XHeader, EntryType::XGlobalHeader] {
        let why = refusal(|draft| {
            raw(draft, kind, b"pax", b"11 size=0\n\n");
            file(draft, "workspace/target/x", b"hidden");
        });
        let expected = "it has an extended header, which could contradict the plain one";
        assert_eq!(why, expected, "{kind:?}");
    }
}

#[test]
fn a_header_of_another_format_is_refused() {
    let why = refusal(|draft| {
        let mut header = tar::Header::new_ustar();
        header.set_entry_type(EntryType::Regular);
        header.set_size(0);
        header.set_mode(0o644);
        draft
            .append_data(&mut header, "workspace/target/x", io::empty())
            .unwrap();
    });
    assert_eq!(why, "a header is not one of ours");
}

#[test]
fn a_folder_with_content_is_refused() {
    let why = refusal(|draft| {
        let path = b"workspace/target/x";
        raw(draft, EntryType::Directory, path, b"content");
    });
    assert_eq!(why, "it has a folder or link with content");
}

#[test]
fn a_long_name_is_bounded() {
    let why = refusal(|draft| raw(draft, EntryType::GNULongName, b"@", &vec![b'a'; 1 << 20]));
    assert_eq!(why, "a path is too long");
}

#[test]
fn what_follows_the_end_is_refused() {
    let mut tar = zstd::decode_all(Cursor::new(packed(|_| {}))).unwrap();
    tar.extend_from_slice(b"more");
    let packed = zstd::encode_all(Cursor::new(tar), LEVEL).unwrap();
    assert_eq!(checked(&packed).unwrap_err(), "something follows its end");
}

/// A tar whose one file is a very long run of zeros, as a stream.
fn bomb(bytes: u64) -> Vec<u8> {
    let mut builder = tar::Builder::new(zstd::Encoder::new(Vec::new(), LEVEL).unwrap());
    let mut header = entry(EntryType::Regular, bytes);
    let content = io::repeat(0).take(bytes);
    builder
        .append_data(&mut header, "workspace/target", content)
        .unwrap();
    builder.into_inner().unwrap().finish().unwrap()
}

#[test]
fn a_bomb_is_given_up_early() {
    let packed = bomb(CACHE_RATIO_FREE_BYTES * 4);
    assert!(packed.len() < 256 * 1024, "{}", packed.len());
    assert_eq!(checked(&packed).unwrap_err(), "it becomes too large");
}

#[test]
fn a_small_file_of_zeros_is_no_bomb() {
    let packed = bomb(CACHE_RATIO_FREE_BYTES / 4);
    assert!(checked(&packed).is_ok());
}

#[test]
fn more_entries_than_may_be_are_refused() {
    let mut shape = Shape::new(&["/a".to_owned()]);
    shape.admit(b"a", &Kind::Folder).unwrap();
    let admitted = (0..).map(|at| shape.admit(format!("a/{at}").as_bytes(), &Kind::File));
    let why = admitted.take(1_000_001).find_map(Result::err);
    assert_eq!(why.as_deref(), Some("it has more than 1000000 entries"));
}

#[test]
fn damaged_bytes_are_refused_wherever_they_are() {
    let good = packed(|draft| file(draft, "workspace/target/x", &[7; 10_000]));
    let mut survived = Vec::new();
    for at in 0..good.len() {
        let cut = checked(&good[..at]);
        if cut.is_ok() {
            survived.push(at);
        }
    }
    assert_eq!(survived, Vec::<usize>::new());
}

/// An archive as an engine gives it, of a folder `target`.
fn given(write: impl FnOnce(&mut Draft)) -> Vec<u8> {
    let mut draft = tar::Builder::new(Vec::new());
    folder(&mut draft, "target/");
    write(&mut draft);
    draft.into_inner().unwrap()
}

fn pack(given: &[u8]) -> (Vec<u8>, Packed) {
    let place = tempfile::tempdir().unwrap();
    let path = place.path().join("cache");
    let mut packer = Packer::create(&path, &roots()).unwrap();
    packer.add(given, ROOTS[0]).unwrap();
    let packed = packer.finish().unwrap();
    (std::fs::read(path).unwrap(), packed)
}

#[test]
fn what_is_packed_passes_the_check_and_comes_out_as_it_went_in() {
    let (bytes, packed) = pack(&given(|draft| {
        file(draft, "target/x", b"content");
        link(draft, EntryType::Link, "target/same", "target/x");
        link(draft, EntryType::Symlink, "target/link", "x");
    }));
    let mut out = tar::Builder::new(Vec::new());
    let content = copy(&bytes[..], bytes.len() as u64, &roots(), &mut out).unwrap();
    let out = out.into_inner().unwrap();
    let mut archive = tar::Archive::new(&out[..]);
    let told = archive.entries().unwrap().map(|entry| {
        let mut entry = entry.unwrap();
        let mut text = String::new();
        entry.read_to_string(&mut text).unwrap();
        let target = entry
            .link_name()
            .unwrap()
            .map(|path| path.display().to_string());
        let path = entry.path().unwrap().display().to_string();
        format!(
            "{path} {:o} {text}{}",
            entry.header().mode().unwrap(),
            target.unwrap_or_default()
        )
    });
    let told: Vec<String> = told.collect();
    assert_eq!(
        told,
        [
            "workspace/target 755 ",
            "workspace/target/x 755 content",
            "workspace/target/same 755 workspace/target/x",
            "workspace/target/link 755 x",
        ]
    );
    assert_eq!((content.entries, packed.content.entries), (4, 4));
}

#[test]
fn what_cannot_be_put_back_is_left_out_when_packing() {
    let (bytes, packed) = pack(&given(|draft| {
        raw(draft, EntryType::Fifo, b"target/pipe", b"");
        link(draft, EntryType::Symlink, "target/out", "/etc/passwd");
        link(draft, EntryType::Link, "target/alias", "target/out");
        file(draft, "target/x", b"");
    }));
    assert_eq!(checked(&bytes).map(|content| content.entries), Ok(2));
    assert_eq!(
        packed.left_out.unwrap(),
        "the symlink `workspace/target/out` leads out"
    );
}

#[test]
fn set_user_id_does_not_come_back() {
    let (bytes, _) = pack(&given(|draft| {
        let mut header = entry(EntryType::Regular, 0);
        header.set_mode(0o6755);
        draft
            .append_data(&mut header, "target/x", io::empty())
            .unwrap();
    }));
    let mut out = tar::Builder::new(Vec::new());
    copy(&bytes[..], bytes.len() as u64, &roots(), &mut out).unwrap();
    let out = out.into_inner().unwrap();
    let mut archive = tar::Archive::new(&out[..]);
    let modes = archive
        .entries()
        .unwrap()
        .map(|entry| entry.unwrap().header().mode().unwrap());
    assert_eq!(modes.collect::<Vec<_>>(), [0o755, 0o755]);
}
