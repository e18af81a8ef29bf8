use super::*;

const KNOWN: Situation<'_> = Situation {
    claude_for: Some(Duration::from_mins(1)),
    channel: false,
    in_mode: false,
    waiting: false,
    screen: None,
};

#[test]
fn the_first_usable_carrier_takes_a_message_and_none_disturbs_a_human() {
    let empty = Screen::Box(String::new());
    let draft = Screen::Box("half".to_owned());
    let hold = Choice::Hold;
    for (known, choice) in [
        (Situation { claude_for: None, channel: true, ..KNOWN }, hold(Reason::NoClaude)),
        (Situation { channel: true, ..KNOWN }, Choice::Hand(Carrier::Channel)),
        // The channel types nothing: a dialog or a draft only delays it.
        (
            Situation {
                channel: true,
                waiting: true,
                in_mode: true,
                screen: Some(&draft),
                ..KNOWN
            },
            Choice::Hand(Carrier::Channel),
        ),
        (Situation { claude_for: Some(Duration::ZERO), ..KNOWN }, hold(Reason::Starting)),
        (KNOWN, Choice::Look),
        (Situation { screen: Some(&empty), ..KNOWN }, Choice::Hand(Carrier::Keyboard)),
        (Situation { screen: Some(&draft), ..KNOWN }, hold(Reason::Draft)),
        (Situation { screen: Some(&Screen::Shell), ..KNOWN }, hold(Reason::ShellMode)),
        (Situation { screen: Some(&Screen::NoBox), ..KNOWN }, hold(Reason::DialogOpen)),
        (Situation { waiting: true, screen: Some(&empty), ..KNOWN }, hold(Reason::DialogOpen)),
        (Situation { in_mode: true, screen: Some(&empty), ..KNOWN }, hold(Reason::CopyMode)),
    ] {
        assert_eq!(choose(&known), choice, "{known:?}");
    }
}

const IDLE: (Activity, Duration) = (Activity::Idle, IDLE_MIN);
const BUSY: (Activity, Duration) = (Activity::Busy, Duration::ZERO);

const HANDED: Handed = Handed {
    carrier: Carrier::Channel,
    posted: true,
    ago: Duration::from_secs(1),
    progress: Progress::Nothing,
    lives: true,
    has_transcript: true,
    activity: IDLE,
    pasted: Pasted::Unknown,
    enters: (0, Duration::ZERO),
};

#[test]
fn a_text_is_repeated_only_if_it_is_proven_lost() {
    let hour = Duration::from_hours(1);
    let lost = |handed: Handed| next(&handed) == Next::Lost;
    for progress in [Progress::Queued, Progress::PulledBack, Progress::PerhapsQueued] {
        assert!(!lost(Handed { progress, ago: hour, activity: BUSY, ..HANDED }), "{progress:?}");
        assert!(lost(Handed { progress, lives: false, ..HANDED }), "{progress:?}");
    }
    assert!(!lost(Handed { progress: Progress::Taken, lives: false, ..HANDED }));
    let dropped = Handed { progress: Progress::Dropped, ..HANDED };
    assert!(!lost(dropped) && lost(Handed { ago: REPEAT_AFTER, ..dropped }));
    // An idle agent without the message half a minute later never got it …
    assert!(!lost(HANDED) && lost(Handed { ago: REPEAT_AFTER, ..HANDED }));
    assert!(!lost(Handed {
        ago: REPEAT_AFTER,
        activity: (Activity::Idle, Duration::ZERO),
        ..HANDED
    }));
    // … but a busy one may, and one with an open dialog.
    assert!(!lost(Handed { ago: hour, activity: BUSY, ..HANDED }));
    assert!(!lost(Handed { ago: hour, activity: (Activity::Waiting, Duration::ZERO), ..HANDED }));
    // Without a transcript there is no proof.
    let blind = Handed { ago: hour, has_transcript: false, ..HANDED };
    assert_eq!(next(&blind), Next::Unproven);
    assert_eq!(
        next(&Handed { activity: (Activity::Unknown, Duration::ZERO), ..blind }),
        Next::Unproven
    );
    assert!(lost(Handed { posted: false, ..blind }));
}

#[test]
fn an_idle_agent_ends_every_wait() {
    let hour = Duration::from_hours(1);
    for (progress, wanted) in [
        (Progress::Nothing, Next::Lost),
        (Progress::PerhapsQueued, Next::Lost),
        (Progress::Dropped, Next::Lost),
        // Repeating these would double them.
        (Progress::Queued, Next::Unproven),
        (Progress::PulledBack, Next::Unproven),
    ] {
        assert_eq!(next(&Handed { progress, ago: hour, ..HANDED }), wanted, "{progress:?}");
    }
    let pulled = Handed { progress: Progress::PulledBack, ago: hour, ..HANDED };
    assert_eq!(next(&Handed { pasted: Pasted::Alone, ..pulled }), Next::Wait(Reason::PulledBack));
}

#[test]
fn enter_is_pressed_only_while_the_text_is_alone_in_the_box() {
    let typed = Handed { carrier: Carrier::Keyboard, pasted: Pasted::Alone, ..HANDED };
    assert_eq!(next(&typed), Next::Enter);
    let enters = |count, secs| Handed { enters: (count, Duration::from_secs(secs)), ..typed };
    assert_eq!(next(&enters(1, 0)), Next::Wait(Reason::Submitting));
    assert_eq!(next(&enters(1, 1)), Next::Enter);
    assert_eq!(next(&enters(4, 9)), Next::Wait(Reason::Stuck));
    for pasted in [Pasted::WithMore, Pasted::Gone, Pasted::NoBox, Pasted::Unknown] {
        assert_ne!(next(&Handed { pasted, ..typed }), Next::Enter, "{pasted:?}");
    }
    assert_eq!(next(&Handed { pasted: Pasted::WithMore, ..typed }), Next::Wait(Reason::Draft));
    let waiting = Handed { activity: (Activity::Waiting, Duration::ZERO), ..typed };
    assert_eq!(next(&waiting), Next::Wait(Reason::DialogOpen));
    // The human has pulled it back, so they decide about it.
    let back = Handed { progress: Progress::PulledBack, ..typed };
    assert_ne!(next(&back), Next::Enter);
    let vanished = Handed { pasted: Pasted::Gone, ago: PASTE_TIMEOUT, ..typed };
    assert_eq!(next(&vanished), Next::Lost);
    // Enter was pressed, so it may have been submitted.
    assert_ne!(next(&Handed { enters: (1, PASTE_TIMEOUT), ..vanished }), Next::Lost);
    let queued = Handed { progress: Progress::PerhapsQueued, activity: BUSY, ..vanished };
    assert_ne!(next(&queued), Next::Lost);
}
