//! What Signet adds to asking a hook: the same receiver is asked directly and through the real binary, in turns, over kept
//! connections, and the percentiles of both are shown with their difference. `cargo bench --bench hooks -- --help` says how
//! it is run.

#![expect(clippy::disallowed_methods, reason = "a bench measures real time and passes the environment on")]

mod args;
mod house;

use std::process::ExitCode;
use std::time::{Duration, Instant};

use reqwest::{Client, RequestBuilder};

use crate::args::Args;
use crate::house::House;

/// Nobody above tells failures apart; they are shown.
type Failure = Box<dyn std::error::Error + Send + Sync>;

/// What Signet may add to the slowest of a hundred questions.
const ADDED_MAX: Duration = Duration::from_millis(2);
/// Shares of all calls, in thousandths.
const SHARES: [(&str, usize); 4] = [("p50", 500), ("p90", 900), ("p99", 990), ("p99.9", 999)];
/// Calls that are made before any is measured: connections are opened, and what is configured is read.
const WARM_UP: usize = 200;
/// About what an identity provider says of a sign-in.
const PAYLOAD: &str = r#"{"user":{"id":"usr_01HABCDEF123456","email":"alice@example.com","disabled":false},"ip_address":"203.0.113.42","user_agent":"Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0","tenant_id":"tnt_01HABCDEF654321"}"#;

/// What calls took.
#[derive(Default)]
struct Taken {
    direct: Vec<Duration>,
    through: Vec<Duration>,
}

fn main() -> ExitCode {
    match run() {
        Ok(code) => code,
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}

fn run() -> Result<ExitCode, Failure> {
    let Some(args) = Args::parse(std::env::args().skip(1))? else {
        print!("{}", args::HELP);
        return Ok(ExitCode::SUCCESS);
    };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let taken = runtime.block_on(measure(&args))?;
    Ok(show(&args, taken))
}

/// Has so many callers ask in turns, each over connections of its own.
async fn measure(args: &Args) -> Result<Taken, Failure> {
    let house = House::open().await?;
    let callers = (0..args.callers).map(|_| in_turns(&house, args.calls));
    let mut all = Taken::default();
    for taken in futures_of(callers).await {
        let Taken { direct, through } = taken?;
        all.direct.extend(direct);
        all.through.extend(through);
    }
    Ok(all)
}

/// Runs futures at the same time on this thread.
async fn futures_of<F: Future>(futures: impl Iterator<Item = F>) -> Vec<F::Output> {
    let mut running: Vec<_> = futures.map(Box::pin).collect();
    let mut ended: Vec<Option<F::Output>> = running.iter().map(|_| None).collect();
    std::future::poll_fn(|context| {
        for (future, ended) in running.iter_mut().zip(&mut ended).filter(|(_, ended)| ended.is_none()) {
            if let std::task::Poll::Ready(output) = future.as_mut().poll(context) {
                *ended = Some(output);
            }
        }
        if ended.iter().all(Option::is_some) { std::task::Poll::Ready(()) } else { std::task::Poll::Pending }
    })
    .await;
    ended.into_iter().flatten().collect()
}

async fn in_turns(house: &House, calls: usize) -> Result<Taken, Failure> {
    let client = Client::builder().no_proxy().build()?;
    let mut taken = Taken::default();
    for call in 0..WARM_UP + calls {
        let direct = timed(house.direct(&client).body(PAYLOAD)).await?;
        let through = timed(house.through(&client).body(PAYLOAD)).await?;
        if call >= WARM_UP {
            taken.direct.push(direct);
            taken.through.push(through);
        }
    }
    Ok(taken)
}

/// How long a call takes, from its beginning to the last byte of an answer that allows.
async fn timed(request: RequestBuilder) -> Result<Duration, Failure> {
    let started_at = Instant::now();
    let response = request.header("content-type", "application/json").send().await?;
    let (status, body) = (response.status(), response.text().await?);
    let took = started_at.elapsed();
    if body.contains(r#""allow":true"#) && !body.contains("failure") {
        return Ok(took);
    }
    Err(format!("{status}: {body}").into())
}

fn show(args: &Args, Taken { mut direct, mut through }: Taken) -> ExitCode {
    direct.sort_unstable();
    through.sort_unstable();
    let calls = direct.len();
    println!("{calls} calls by {} at a time, direct and through Signet in turns, in ms\n", args.callers);
    println!("{:>8} {:>9} {:>9} {:>9}", "", "direct", "through", "added");
    let mut is_quick = true;
    for (name, share) in SHARES {
        let [direct, through] = [&direct, &through].map(|taken| at(taken, share));
        let added = through.saturating_sub(direct);
        is_quick &= name != "p99" || added <= ADDED_MAX;
        let [direct, through, added] = [direct, through, added].map(|span| span.as_secs_f64() * 1e3);
        println!("{name:>8} {direct:>9.3} {through:>9.3} {added:>9.3}");
    }
    let (words, code) = match is_quick {
        true => ("at most", ExitCode::SUCCESS),
        false => ("more than", ExitCode::from(u8::from(args.is_strict))),
    };
    println!("\nSignet adds {words} {} ms at p99", ADDED_MAX.as_millis());
    code
}

/// The shortest span that this share of all calls does not exceed.
fn at(sorted: &[Duration], share: usize) -> Duration {
    let rank = (sorted.len() * share).div_ceil(1_000).saturating_sub(1);
    sorted.get(rank).copied().unwrap_or_default()
}
