//! What a followed file shows while somebody swaps, writes, breaks and removes it.

use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use hotload::follow::{Ended, Options, Watch, follow};
use secrecy::{ExposeSecret, SecretString};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use testkit::volume::Volume;

/// Text is valid if it ends with `.`; the dot says that it is whole.
fn whole(text: &SecretString) -> Result<String, String> {
    let text = text.expose_secret().trim();
    text.strip_suffix('.')
        .map(ToOwned::to_owned)
        .ok_or_else(|| "no dot at the end".to_owned())
}

struct Followed {
    watch: Watch<String>,
    token: CancellationToken,
    task: JoinHandle<()>,
}

impl Followed {
    fn new(path: &Path, options: Options) -> Self {
        let (follower, watch) = follow(path, options, whole);
        let token = CancellationToken::new();
        let task = tokio::spawn(follower.run(token.clone()));
        Self { watch, token, task }
    }

    async fn next(&mut self) -> String {
        let version = tokio::time::timeout(PATIENCE, self.watch.next()).await;
        version.expect("a version").unwrap().value.clone()
    }

    async fn until(&mut self, value: &str) {
        while self.next().await != value {}
    }

    async fn refusal(&self, what: &str) {
        let wait = async {
            loop {
                let refusal = self.watch.refusal();
                if refusal.is_some_and(|refusal| refusal.reason().contains(what)) {
                    return;
                }
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        tokio::time::timeout(PATIENCE, wait)
            .await
            .expect("a refusal");
    }

    async fn stop(self) {
        self.token.cancel();
        self.task.await.unwrap();
    }
}

const PATIENCE: Duration = Duration::from_mins(1);

/// Events alone: a poll that never comes.
fn by_events() -> Options {
    Options {
        poll: Duration::from_hours(1),
        ..Options::default()
    }
}

/// The poll alone finds what no event of the directory tells.
fn by_poll() -> Options {
    Options {
        poll: Duration::from_millis(20),
        settle: Duration::from_millis(5),
    }
}

#[tokio::test]
async fn row_67_the_swap_of_a_volume_is_noticed_by_its_event() {
    let volume = Volume::with("one.").unwrap();
    let mut followed = Followed::new(&volume.file(), by_events());
    assert_eq!(followed.next().await, "one");
    for number in 0..20 {
        let text = format!("{number}");
        volume.swap(&format!("{text}.\n")).unwrap();
        followed.until(&text).await;
    }
    followed.stop().await;
}

#[tokio::test]
async fn a_file_that_is_written_in_place_renamed_or_linked_anew_is_noticed_by_its_event() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("dsn");
    let mut followed = Followed::new(&path, by_events());

    std::fs::write(&path, "written.").unwrap();
    followed.until("written").await;

    let other = directory.path().join("other");
    std::fs::write(&other, "renamed.").unwrap();
    std::fs::rename(&other, &path).unwrap();
    followed.until("renamed").await;

    std::fs::write(&other, "linked.").unwrap();
    let link = directory.path().join("link");
    std::os::unix::fs::symlink("other", &link).unwrap();
    std::fs::rename(&link, &path).unwrap();
    followed.until("linked").await;
    followed.stop().await;
}

#[tokio::test]
async fn the_poll_finds_what_no_event_tells() {
    let (here, elsewhere) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let (link, target) = (here.path().join("dsn"), elsewhere.path().join("target"));
    std::fs::write(&target, "one.").unwrap();
    std::os::unix::fs::symlink(&target, &link).unwrap();
    let mut followed = Followed::new(&link, by_poll());
    assert_eq!(followed.next().await, "one");
    std::fs::write(&target, "two.").unwrap();
    followed.until("two").await;
    followed.stop().await;
}

#[tokio::test]
async fn a_directory_may_come_go_and_come_again() {
    let root = tempfile::tempdir().unwrap();
    let directory = root.path().join("mount");
    let path = directory.join("dsn");
    let mut followed = Followed::new(&path, by_poll());
    followed.refusal("can't be read").await;
    for text in ["one", "two"] {
        std::fs::create_dir(&directory).unwrap();
        std::fs::write(&path, format!("{text}.")).unwrap();
        followed.until(text).await;
        std::fs::remove_dir_all(&directory).unwrap();
        followed.refusal("can't be read").await;
        assert_eq!(followed.watch.current().unwrap().value, text);
    }
    followed.stop().await;
}

#[tokio::test]
async fn contents_of_no_use_leave_the_last_good_version() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("dsn");
    std::fs::write(&path, "good.").unwrap();
    let mut followed = Followed::new(&path, by_poll());
    assert_eq!(followed.next().await, "good");

    let too_large = vec![b'x'; 1024 * 1024 + 1];
    let useless: [(&[u8], &str); 5] = [
        (b"", "is empty"),
        (b" \n", "is empty"),
        (b"\xff\xfe", "not UTF-8"),
        (b"half", "is refused: no dot at the end"),
        (&too_large, "more than 1048576 bytes"),
    ];
    for (contents, reason) in useless {
        std::fs::write(&path, contents).unwrap();
        followed.refusal(reason).await;
        let current = followed.watch.current().unwrap();
        assert_eq!((current.generation, current.value.as_str()), (1, "good"));
    }

    std::fs::remove_file(&path).unwrap();
    std::fs::create_dir(&path).unwrap();
    followed.refusal("not a regular file").await;

    // The same contents again are the same version, and nothing is wrong any more.
    std::fs::remove_dir(&path).unwrap();
    std::fs::write(&path, "good.").unwrap();
    while followed.watch.refusal().is_some() {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    assert_eq!(followed.watch.current().unwrap().generation, 1);
    followed.stop().await;
}

#[tokio::test]
async fn following_ends_with_its_token_and_with_its_last_watch() {
    let volume = Volume::with("one.").unwrap();
    let mut followed = Followed::new(&volume.file(), by_events());
    followed.next().await;
    followed.token.cancel();
    assert_eq!(followed.watch.next().await.unwrap_err(), Ended);
    followed.task.await.unwrap();

    let Followed {
        watch,
        token: _token,
        task,
    } = Followed::new(&volume.file(), by_events());
    let other = watch.clone();
    drop(watch);
    assert!(!task.is_finished());
    drop(other);
    task.await.unwrap();
}

/// Every text says its number twice and ends with a dot, so a torn one shows.
fn text_of(number: u64) -> String {
    format!("{number}:{}:{number}", "x".repeat(5000))
}

fn number_of(text: &str) -> u64 {
    let (first, rest) = text.split_once(':').unwrap();
    let (filling, last) = rest.split_once(':').unwrap();
    assert_eq!((first, filling.len()), (last, 5000), "torn");
    first.parse().unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn thousands_of_swaps_are_never_seen_torn_out_of_order_or_stale_for_ever() {
    const SWAPS: u64 = 3000;
    let volume = Volume::with(&format!("{}.", text_of(0))).unwrap();
    let mut followed = Followed::new(&volume.file(), by_events());
    let done = std::sync::Arc::new(AtomicBool::new(false));
    let readers: Vec<_> = (0..4)
        .map(|_| {
            let (watch, done) = (followed.watch.clone(), done.clone());
            tokio::task::spawn_blocking(move || {
                let mut last = 0;
                while !done.load(Ordering::Relaxed) {
                    if let Some(version) = watch.current() {
                        let number = number_of(&version.value);
                        assert!(number >= last, "{number} after {last}");
                        last = number;
                    }
                    std::thread::yield_now();
                }
            })
        })
        .collect();
    let writer = tokio::task::spawn_blocking(move || {
        for number in 1..=SWAPS {
            volume.swap(&format!("{}.", text_of(number))).unwrap();
        }
        volume
    });
    let mut last = number_of(&followed.next().await);
    let mut versions = 1;
    while last < SWAPS {
        let number = number_of(&followed.next().await);
        assert!(number > last, "{number} after {last}");
        (last, versions) = (number, versions + 1);
    }
    done.store(true, Ordering::Relaxed);
    for reader in readers {
        reader.await.unwrap();
    }
    writer.await.unwrap();
    assert!(followed.watch.current().unwrap().generation >= versions);
    followed.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_truncated_and_written_in_pieces_is_never_seen_torn() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("dsn");
    let mut followed = Followed::new(&path, by_events());
    let file = path.clone();
    let writer = tokio::task::spawn_blocking(move || {
        for number in 0..200 {
            use std::io::Write;
            let text = format!("{}.", text_of(number));
            let mut file = std::fs::File::create(&file).unwrap();
            for piece in text.as_bytes().chunks(700) {
                file.write_all(piece).unwrap();
                std::thread::yield_now();
            }
        }
    });
    while number_of(&followed.next().await) < 199 {}
    writer.await.unwrap();
    followed.stop().await;
}
