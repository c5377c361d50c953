//! Who waits, who goes first, and who leaves: the points of conformance that are about more than one caller.

use super::*;

/// Point 3: who leaves, before the first token or after it, and who reads late or not at all, harms nobody.
#[tokio::test(flavor = "multi_thread")]
async fn who_leaves_or_does_not_read_harms_nobody() {
    for case in all(Show::Silence).await {
        let answer = stream(&case.engine, case.prompt.clone());
        eventually(|| case.engine.calls() == 1).await;
        drop(answer);
        assert_unharmed(&case).await;
    }
    for case in all(Show::Long).await {
        let mut answer = stream(&case.engine, case.prompt.clone());
        assert!(matches!(answer.next().await, Some(Ok(Event::Text(_)))), "{}", case.name);
        drop(answer);
        assert_unharmed(&case).await;
    }
    for case in all(Show::Answer { pictures: 0 }).await {
        // Nobody reads the first answer until the second is there.
        let unread = stream(&case.engine, case.prompt.clone());
        assert_unharmed(&case).await;
        let (text, _, end) = read(unread).await;
        assert_eq!(end.unwrap().text, text, "{}", case.name);
    }
    for case in all(Show::Long).await {
        // Who never reads at all is held to the deadline all the same.
        let deadline = within(Duration::from_millis(200));
        let unread = case.engine.stream(case.engine.admit(Priority::Clinician).unwrap(), case.prompt.clone(), deadline);
        assert_unharmed(&case).await;
        assert_eq!(read(unread).await.2, Err(EngineError::Deadline), "{}", case.name);
    }
}

/// Point 3: five hundred callers who leave whenever it pleases them leave nothing behind.
#[tokio::test(flavor = "multi_thread")]
async fn who_leaves_at_any_moment_leaves_nothing_behind() {
    for case in all(Show::Long).await {
        let mut random: u64 = 7;
        for _ in 0..250 {
            random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            let pause = Duration::from_micros((random >> 33) % 8_000);
            // One that may be answered, and one behind it that may still wait.
            let mut calls = Vec::new();
            for _ in 0..2 {
                // The place of one that only waited comes back when its task sees that it has left.
                eventually(|| case.engine.admit(Priority::Clinician).is_ok()).await;
                calls.push(stream(&case.engine, case.prompt.clone()));
            }
            tokio::time::sleep(pause).await;
            drop(calls);
            case.engine.wait_idle().await;
        }
        let counts = case.engine.counts();
        assert_eq!((counts.restarts, counts.retries), (0, 0), "{}", case.name);
        assert_unharmed(&case).await;
    }
}

/// Point 4: the deadline holds in the queue, before the first token and after it; a full queue refuses at once.
#[tokio::test(flavor = "multi_thread")]
async fn the_deadline_holds_everywhere_and_a_full_queue_refuses() {
    for show in [Show::Silence, Show::Long] {
        for case in all(show).await {
            for milliseconds in [0, 1, 40] {
                let deadline = within(Duration::from_millis(milliseconds));
                let place = case.engine.admit(Priority::Clinician).unwrap();
                let answer = case.engine.generate(place, case.prompt.clone(), deadline).await;
                let late = Instant::now() - deadline;
                println!("{} {show:?}: {late:?} after the deadline", case.name);
                // Generous: it fails where the caller waits for the call.
                assert!(late < Duration::from_secs(1), "{} {show:?} {milliseconds}: {late:?}", case.name);
                assert_eq!(answer, Err(EngineError::Deadline), "{} {show:?} {milliseconds}", case.name);
                if case.name == "scripted" {
                    break;
                }
            }
            assert_unharmed(&case).await;
        }
    }
    for case in all(Show::Long).await {
        let busy = stream(&case.engine, case.prompt.clone());
        eventually(|| case.engine.calls() == 1).await;
        let place = case.engine.admit(Priority::Clinician).unwrap();
        let waiting = case.engine.generate(place, case.next.clone(), within(Duration::from_millis(20))).await;
        assert_eq!((waiting, case.engine.calls()), (Err(EngineError::Deadline), 1), "{}", case.name);
        let mut places = Vec::new();
        let refused = loop {
            match case.engine.admit(Priority::Clinician) {
                Ok(place) => places.push(place),
                Err(refused) => break refused,
            }
        };
        assert!(matches!(refused, EngineError::Busy { retry_after } if retry_after >= Duration::from_secs(1)));
        drop((busy, places));
        assert_unharmed(&case).await;
    }
}

/// Point 4: clinicians go before background work, which leaves them a place.
#[tokio::test(flavor = "multi_thread")]
async fn clinicians_go_first() {
    for case in all(Show::Long).await {
        let busy = stream(&case.engine, case.prompt.clone());
        eventually(|| case.engine.calls() == 1).await;
        let (told, mut order) = tokio::sync::mpsc::unbounded_channel();
        for priority in [Priority::Background, Priority::Clinician] {
            let answer = case.engine.stream(
                case.engine.admit(priority).unwrap(),
                case.next.clone(),
                within(Duration::from_secs(120)),
            );
            let told = told.clone();
            tokio::spawn(async move { told.send((priority, answer.complete().await.is_ok())) });
            // In the line before the next one comes.
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        drop(busy);
        assert_eq!(order.recv().await, Some((Priority::Clinician, true)), "{}", case.name);
        assert_eq!(order.recv().await, Some((Priority::Background, true)), "{}", case.name);
        let mut places = Vec::new();
        while let Ok(place) = case.engine.admit(Priority::Background) {
            places.push(place);
        }
        assert!(case.engine.admit(Priority::Clinician).is_ok(), "{}", case.name);
    }
}

/// Point 10: a canary is asked in turn and counted; its states are in `health`.
#[tokio::test(flavor = "multi_thread")]
async fn a_canary_waits_its_turn_and_is_counted() {
    for case in all(Show::Long).await {
        let busy = stream(&case.engine, case.prompt.clone());
        eventually(|| case.engine.calls() == 1).await;
        let canary = tokio::spawn({
            let engine = case.engine.clone();
            async move { engine.ask_canary().await }
        });
        tokio::time::sleep(Duration::from_millis(20)).await;
        assert_eq!(case.engine.counts().canaries, 0, "{}: a call runs", case.name);
        drop(busy);
        assert_eq!(canary.await.unwrap(), Health::Ready, "{}", case.name);
        assert_eq!(case.engine.counts().canaries, 1, "{}", case.name);
        assert_unharmed(&case).await;
    }
}

/// How long it takes until the place is free when a caller leaves: printed; on the real engine also in tokens of work.
#[tokio::test(flavor = "multi_thread")]
async fn a_caller_who_leaves_frees_the_place() {
    for case in all(Show::Long).await {
        let (mut times, mut steps) = (Vec::new(), Vec::new());
        case.engine.pace(Duration::from_millis(25));
        for turn in 0..60 {
            let mut answer = stream(&case.engine, case.prompt.clone());
            for _ in 0..turn % 3 + 1 {
                assert!(matches!(answer.next().await, Some(Ok(Event::Text(_)))), "{}", case.name);
            }
            let left = Clock::now();
            let before = case.engine.counts().abandoned_tokens;
            drop(answer);
            // The gate is first come, first served: whoever is in it next finds the model free.
            case.engine.wait_idle().await;
            times.push(left.elapsed());
            steps.push(case.engine.counts().abandoned_tokens - before);
        }
        times.sort_unstable();
        let most = steps.iter().max().unwrap();
        println!(
            "{}: a caller leaves: n {}, p50 {:?}, p99 {:?}, max {:?}, tokens computed for nobody: {} in all, at most {most}",
            case.name,
            times.len(),
            times[times.len() / 2],
            times[times.len() * 99 / 100],
            times[times.len() - 1],
            steps.iter().sum::<u64>(),
        );
        assert!(*most <= 2, "{}: {steps:?}", case.name);
        if case.name == "scripted" {
            assert!(times[times.len() / 2] < Duration::from_millis(250), "{times:?}");
        }
    }
}
