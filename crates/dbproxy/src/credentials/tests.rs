use proptest::prelude::*;

use super::*;

const START: Duration = Duration::ZERO;

/// What there is to do, as `try 1`, `switch 2`, `wait 3s` or `idle`.
fn next(credentials: &mut Credentials<&str>, now: Duration) -> String {
    match credentials.next(now) {
        Next::Work(Work::Try(numbered)) => format!("try {}", numbered.generation),
        Next::Work(Work::Switch(numbered)) => format!("switch {}", numbered.generation),
        Next::WaitUntil(then) => format!("wait {:?}", then.saturating_sub(now)),
        Next::Idle => "idle".to_owned(),
    }
}

fn in_use(credentials: &Credentials<&'static str>) -> Option<&'static str> {
    credentials.current().map(|numbered| numbered.value)
}

/// A machine that uses `a`.
fn with_a() -> Credentials<&'static str> {
    let mut credentials = Credentials::default();
    assert_eq!(next(&mut credentials, START), "idle");
    credentials.found("a");
    assert_eq!(next(&mut credentials, START), "try 1");
    assert_eq!(
        next(&mut credentials, START),
        "idle",
        "one piece of work at a time"
    );
    credentials.tried(Verdict::Works, START);
    assert_eq!(in_use(&credentials), None);
    assert_eq!(next(&mut credentials, START), "switch 1");
    credentials.switched(Switched::Done, START);
    assert_eq!(in_use(&credentials), Some("a"));
    assert_eq!(next(&mut credentials, START), "idle");
    credentials
}

#[test]
fn row_67_a_credential_is_tried_before_it_is_used() {
    let mut credentials = with_a();
    credentials.found("a");
    assert_eq!(
        next(&mut credentials, START),
        "idle",
        "the same is nothing new"
    );
    credentials.found("b");
    assert_eq!(next(&mut credentials, START), "try 2");
    assert_eq!(in_use(&credentials), Some("a"));
}

#[test]
fn row_67_a_refused_credential_leaves_the_last_good_one_and_is_tried_later_and_later() {
    let mut credentials = with_a();
    credentials.found("b");
    let mut now = START;
    for pause in [1, 2, 4, 8, 16, 30, 30] {
        assert_eq!(next(&mut credentials, now), "try 2");
        credentials.tried(Verdict::Refused, now);
        assert_eq!(next(&mut credentials, now), format!("wait {pause}s"));
        now += Duration::from_secs(pause);
        assert_eq!(in_use(&credentials), Some("a"));
    }
    assert_eq!(credentials.refusals(), 7);
    assert_eq!(credentials.candidate(), Some((2, Some(Verdict::Refused))));
    credentials.found("a");
    assert_eq!(
        next(&mut credentials, now),
        "idle",
        "the file went back to what is in use"
    );
}

#[test]
fn row_68_a_server_that_is_away_at_the_start_is_asked_again() {
    let mut credentials = Credentials::default();
    credentials.found("a");
    assert_eq!(next(&mut credentials, START), "try 1");
    credentials.tried(Verdict::Unavailable, START);
    assert_eq!(next(&mut credentials, START), "wait 1s");
    assert_eq!(in_use(&credentials), None);
    credentials.found("b");
    assert_eq!(
        next(&mut credentials, START),
        "try 2",
        "a newer one does not wait"
    );
}

#[test]
fn a_credential_found_during_work_takes_the_candidates_place() {
    let mut credentials = with_a();
    credentials.found("b");
    assert_eq!(next(&mut credentials, START), "try 2");
    credentials.found("c");
    credentials.tried(Verdict::Works, START);
    assert_eq!(
        next(&mut credentials, START),
        "try 3",
        "2 worked, but is not wanted any more"
    );
}

#[test]
fn after_a_failed_switch_even_the_current_credential_is_switched_to_again() {
    let mut credentials = with_a();
    credentials.found("b");
    assert_eq!(next(&mut credentials, START), "try 2");
    credentials.tried(Verdict::Works, START);
    assert_eq!(next(&mut credentials, START), "switch 2");
    credentials.found("a");
    credentials.switched(Switched::Failed, START);
    assert_eq!(next(&mut credentials, START), "try 3");
    credentials.tried(Verdict::Works, START);
    assert_eq!(next(&mut credentials, START), "switch 3");
    credentials.switched(Switched::Done, START);
    assert_eq!(in_use(&credentials), Some("a"));
    assert_eq!(next(&mut credentials, START), "idle");
}

#[derive(Debug, Clone)]
enum Happening {
    Found(u8),
    /// Takes work, if there is any.
    Begin,
    /// Ends the work under way: well, badly, or with nobody there.
    End(Verdict, HalfDone),
    Later(u64),
}

/// Whether a failed switch reached PgBouncer nevertheless.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum HalfDone {
    Yes,
    No,
}

fn happening() -> impl Strategy<Value = Happening> {
    let verdict = prop_oneof![
        Just(Verdict::Works),
        Just(Verdict::Refused),
        Just(Verdict::Unavailable)
    ];
    let half_done = prop_oneof![Just(HalfDone::Yes), Just(HalfDone::No)];
    prop_oneof![
        (0..4_u8).prop_map(Happening::Found),
        Just(Happening::Begin),
        (verdict, half_done).prop_map(|(verdict, half_done)| Happening::End(verdict, half_done)),
        (0..40_u64).prop_map(Happening::Later),
    ]
}

/// The machine, and the PgBouncer that it thinks about.
#[derive(Default)]
struct World {
    credentials: Credentials<u8>,
    now: Duration,
    last_found: Option<u8>,
    under_way: Option<Work<u8>>,
    /// Generations that logged in.
    worked: Vec<u64>,
    pgbouncer: Option<u8>,
}

impl World {
    fn happens(&mut self, happening: &Happening) {
        let before = self.generation();
        match happening {
            Happening::Found(value) => {
                self.last_found = Some(*value);
                self.credentials.found(*value);
            }
            Happening::Begin => self.begin(),
            Happening::End(verdict, half_done) => self.end(*verdict, *half_done),
            Happening::Later(seconds) => self.now += Duration::from_secs(*seconds),
        }
        let after = self.generation();
        assert!(
            after >= before,
            "the last good one stays: {before:?}, then {after:?}"
        );
        if after != before {
            assert!(
                self.worked.contains(&after.unwrap()),
                "{after:?} was never tried"
            );
        }
    }

    fn generation(&self) -> Option<u64> {
        self.credentials
            .current()
            .map(|numbered| numbered.generation)
    }

    fn begin(&mut self) {
        if let Next::Work(work) = self.credentials.next(self.now) {
            assert!(self.under_way.is_none(), "two pieces of work at a time");
            if let Work::Switch(numbered) = &work {
                assert!(
                    self.worked.contains(&numbered.generation),
                    "switch without a try"
                );
            }
            self.under_way = Some(work);
        }
    }

    fn end(&mut self, verdict: Verdict, half_done: HalfDone) {
        match self.under_way.take() {
            None => {}
            Some(Work::Try(numbered)) => {
                if verdict == Verdict::Works {
                    self.worked.push(numbered.generation);
                }
                self.credentials.tried(verdict, self.now);
            }
            Some(Work::Switch(numbered)) => {
                let is_done = verdict == Verdict::Works;
                if is_done || half_done == HalfDone::Yes {
                    self.pgbouncer = Some(numbered.value);
                }
                let switched = if is_done {
                    Switched::Done
                } else {
                    Switched::Failed
                };
                self.credentials.switched(switched, self.now);
            }
        }
    }
}

proptest! {
    #[test]
    fn whatever_happened_what_was_found_last_is_used_once_all_goes_well(
        happenings in prop::collection::vec(happening(), 0..60),
    ) {
        let mut world = World::default();
        for happening in &happenings {
            world.happens(happening);
        }
        for _ in 0..8 {
            world.happens(&Happening::End(Verdict::Works, HalfDone::No));
            world.happens(&Happening::Later(LONGEST_PAUSE.as_secs()));
            world.happens(&Happening::Begin);
        }
        prop_assert!(matches!(world.credentials.next(world.now), Next::Idle));
        prop_assert!(world.under_way.is_none());
        prop_assert_eq!(world.credentials.current().map(|current| current.value), world.last_found);
        prop_assert_eq!(world.pgbouncer, world.last_found);
    }
}
