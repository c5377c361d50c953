//! What of curbside is timed inside a process of its own: once for each line read.

use std::{
    fs,
    future::Future,
    io::{self, BufRead},
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use curbside::{
    caller::{AllowedBase, Caller},
    capacity::Processor,
    cds_hooks::HookRequest,
    chart::{self, Sources},
    egress::Egress,
    engine::{Engine, Step},
    eval::Maker,
    fhir::{self, Date},
    imaging::{self, Decoder, Identity, Wanted},
    phantom::{self, Content, Random, Style},
    progress::Progress,
    prompt::contract,
    service,
};
use serde_json::json;
use sqlx::{
    ConnectOptions,
    sqlite::{SqliteConnectOptions, SqliteJournalMode, SqliteSynchronous},
};

use crate::{
    CURBSIDE, EHR, Result,
    harness::{Plan, patient, scripted_model},
};

/// Answers of the model in the demonstration's own form.
const ANSWER: &str = r#"{"findings":[{"kind":"effusion","side":"left","region":"lower","severity":"large","change":"unknown","evidence":["E1"]}],"urgency":"urgent"}"#;
/// Side of the picture MedGemma takes.
const SIDE: u32 = 896;

pub fn work(what: &str, folder: &Path) -> Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        match what {
            "chart" => chart(&fs::read(folder.join("large.json"))?).await,
            "order-sign" => order_sign(folder).await,
            "order-checks" => order_checks().await,
            "commit" => commit(folder).await,
            "film-raw" => film(fs::read(folder.join("raw.dcm"))?, wanted()).await,
            "film-jpeg2000" => film(fs::read(folder.join("jpeg2000.dcm"))?, wanted()).await,
            "film-small" => small_film().await,
            "draw-first" => draw(Style::First).await,
            "draw-second" => draw(Style::Second).await,
            "case" => case().await,
            _ => Err("no such work".into()),
        }
    })
}

/// Does it for each line, and says how many seconds each time took.
async fn repeat<F: Future<Output = Result<Duration>>>(mut once: impl FnMut() -> F) -> Result<()> {
    println!("ready");
    for line in io::stdin().lock().lines() {
        line?;
        println!("{}", once().await?.as_secs_f64());
    }
    Ok(())
}

/// From the bytes of a patient-view to the chart.
async fn chart(body: &[u8]) -> Result<()> {
    let services = service::load(None)?;
    let service = services.0.iter().find(|service| service.id == "chart-summary").ok_or("no chart-summary")?;
    let ehr = AllowedBase {
        fhir: EHR.parse()?,
        dicomweb: vec![],
        patient_id_systems: vec![],
        dicomweb_takes_token: false,
        suggestions: false,
    };
    let caller = Caller { tenant: "local".into(), client: "local".into(), allowed_bases: vec![ehr] };
    let (upstream, imaging) = (fhir::Limits::default(), imaging::Limits::default());
    let (ehrs, archives) = (Egress::new(upstream.max_held_bytes)?, Egress::new(imaging.max_held_bytes)?);
    let (processor, decoder) = (Processor::default(), Decoder::new(CURBSIDE.into(), &imaging));
    repeat(async || {
        let start = Instant::now();
        let request = HookRequest::parse(body, false)?;
        let begun = tokio::time::Instant::now();
        let due = begun + Duration::from_secs(60);
        let sources = Sources {
            service,
            request: &request,
            caller: &caller,
            ehrs: &ehrs,
            archives: &archives,
            processor: &processor,
            decoder: &decoder,
            upstream: &upstream,
            imaging: &imaging,
            picture_side: 0,
            now: chrono::Utc::now().into(),
            search_by: due,
            fetch_by: due,
            answer_by: due,
            progress: &Progress::since(begun),
        };
        let chart = chart::gather(sources, None).await?;
        let took = start.elapsed();
        let laboratory = chart.examined.iter().find(|e| e.what == "laboratory");
        match laboratory {
            Some(e) if e.resources == 2000 && e.unusable == 0 && !chart.evidence.is_empty() => Ok(took),
            _ => {
                Err(format!("not every resource came into the chart: {laboratory:?}, {:?}", chart.gaps.first()).into())
            }
        }
    })
    .await
}

/// From an order-sign over HTTP to its card, the report stored: EHR, archive, server and decoders on one processor.
async fn order_sign(folder: &Path) -> Result<()> {
    let data = tempfile::tempdir_in(folder)?;
    let engine = Engine::scripted(scripted_model(), vec![Step::Text(ANSWER.into())]);
    let plan = Plan { data: Some(data.path().to_owned()), ..Plan::new(vec![patient("demo")], engine) };
    let hospital = Arc::new(plan.open().await);
    repeat(async || {
        let request = hospital.ehr.authorized_request("demo").ok_or("no request")?;
        let start = Instant::now();
        let card = hospital.sign(&request).await.only_card();
        let took = start.elapsed();
        if card["links"][0]["url"].is_null() { Err("no report was stored".into()) } else { Ok(took) }
    })
    .await
}

/// From an order-sign over HTTP to the card of a rule; the EHR that is asked for allergies is on the same processor.
async fn order_checks() -> Result<()> {
    let plan = Plan::new(vec![patient("penicillin-allergy")], Engine::absent());
    let hospital = Arc::new(plan.open().await);
    repeat(async || {
        let request = hospital.ehr.authorized_request("penicillin-allergy").ok_or("no request")?;
        let start = Instant::now();
        let card = hospital.post("/cds-services/order-checks", request.to_string()).await.only_card();
        let took = start.elapsed();
        if card["indicator"] == "critical" { Ok(took) } else { Err("the allergy was not found".into()) }
    })
    .await
}

/// What the disk takes for one commit, whatever is committed.
async fn commit(folder: &Path) -> Result<()> {
    let data = tempfile::tempdir_in(folder)?;
    let options = SqliteConnectOptions::new().filename(data.path().join("bare.db")).create_if_missing(true);
    let options = options.journal_mode(SqliteJournalMode::Wal).synchronous(SqliteSynchronous::Full);
    let mut connection = options.connect().await?;
    sqlx::query("CREATE TABLE row (id INTEGER PRIMARY KEY, text TEXT NOT NULL)").execute(&mut connection).await?;
    println!("ready");
    for line in io::stdin().lock().lines() {
        line?;
        let start = Instant::now();
        let insert = sqlx::query("INSERT INTO row (text) VALUES (?)").bind("one row");
        insert.execute(&mut connection).await?;
        println!("{}", start.elapsed().as_secs_f64());
    }
    Ok(())
}

/// From the bytes of a file to RGB8 of the model's size, decoded in a process that starts for it and ends with it.
async fn film(file: Vec<u8>, wanted: Wanted) -> Result<()> {
    let decoder = Decoder::new(CURBSIDE.into(), &imaging::Limits::default());
    let file = bytes::Bytes::from(file);
    repeat(async || {
        let start = Instant::now();
        let film = decoder.film(file.clone(), wanted.clone()).await.map_err(|failure| failure.reason())?;
        let took = start.elapsed();
        if film.image.pixels.width() == wanted.side { Ok(took) } else { Err("no picture".into()) }
    })
    .await
}

/// A made-up film of 224 x 224 as training draws it: a patient, findings, the picture.
async fn draw(style: Style) -> Result<()> {
    let seed = AtomicU64::new(1);
    repeat(async || {
        let mut random = Random::training(seed.fetch_add(1, Ordering::Relaxed));
        let start = Instant::now();
        let content = Content::Chest(phantom::findings(&mut random));
        let film = phantom::Patient::new(&mut random).film(&mut random, &content, style, (224, 224));
        let took = start.elapsed();
        if film.values.len() == 224 * 224 { Ok(took) } else { Err("no film".into()) }
    })
    .await
}

/// A made-up case with its prompt and its answer, its films not drawn.
async fn case() -> Result<()> {
    let (maker, seed) = (Maker::new()?, AtomicU64::new(1));
    repeat(async || {
        let mut random = Random::training(seed.fetch_add(1, Ordering::Relaxed));
        let start = Instant::now();
        maker.ask(&maker.draw(&mut random), contract::MAX_CHARACTERS, false)?;
        Ok(start.elapsed())
    })
    .await
}

/// Of the demonstration's: nearly all of it is what the process costs.
async fn small_film() -> Result<()> {
    let file = fs::read(patient("demo").join("images/current.dcm"))?;
    let read = dicom_object::from_reader(file.as_slice())?;
    let uid = |tag| {
        Ok::<_, Box<dyn std::error::Error + Send + Sync>>(
            read.element(tag)?.to_str()?.trim_end_matches('\0').to_owned(),
        )
    };
    let wanted = Wanted {
        study_uid: uid(dicom_object::Tag(0x0020, 0x000D))?,
        series_uid: uid(dicom_object::Tag(0x0020, 0x000E))?,
        instance_uid: uid(dicom_object::Tag(0x0008, 0x0018))?,
        side: 224,
        ..wanted_of("MRN-demo")
    };
    film(file, wanted).await
}

fn wanted() -> Wanted {
    wanted_of("MRN-1")
}

/// The film that `peers/inputs.py` writes, of the patient with that number.
fn wanted_of(number: &str) -> Wanted {
    let record = json!({"identifier": [{"system": "urn:mrn", "value": number}]});
    let now = Date::parse("2025-11-20T12:00:00Z");
    let patient = serde_json::from_value(record).ok().zip(now);
    Wanted {
        study_uid: "2.25.1".into(),
        series_uid: "2.25.2".into(),
        instance_uid: "2.25.3".into(),
        patient: patient.map(|(record, now)| Identity::of(&record, &["urn:mrn".into()], &now)).unwrap_or_default(),
        side: SIDE,
        retrieved: "bench",
    }
}
