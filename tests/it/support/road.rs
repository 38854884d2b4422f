//! The road between a server and its database, which a test closes and opens: TCP on loopback, byte for byte.

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use url::Url;

/// A road for as long as its test runs.
pub struct Road {
    url: String,
    rule: watch::Sender<Rule>,
}

#[derive(Clone, Copy)]
struct Rule {
    traffic: Traffic,
    /// How often everybody under way was lost.
    losses: u32,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Traffic {
    Flows,
    /// Connections are made and stay, and nothing passes.
    Stands,
    /// Connections end as soon as they are made.
    Ends,
}

impl Road {
    /// A road to the database at this URL.
    pub async fn to(database_url: &str) -> Self {
        let mut url = Url::parse(database_url).unwrap();
        let destination = format!("{}:{}", url.host_str().unwrap(), url.port().unwrap());
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        url.set_port(Some(listener.local_addr().unwrap().port())).unwrap();
        let rule = watch::Sender::new(Rule { traffic: Traffic::Flows, losses: 0 });
        let rules = rule.subscribe();
        tokio::spawn(async move {
            while let Ok((near, _)) = listener.accept().await {
                tokio::spawn(carry(near, destination.clone(), rules.clone()));
            }
        });
        Self { url: url.into(), rule }
    }

    /// The URL of the database at its end.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// Ends every connection and every further one.
    pub fn cut(&self) {
        self.rule.send_modify(|rule| rule.traffic = Traffic::Ends);
    }

    /// Lets nothing pass, without a word to anybody.
    pub fn block(&self) {
        self.rule.send_modify(|rule| rule.traffic = Traffic::Stands);
    }

    /// Lets everything pass again, also what stood still.
    pub fn open(&self) {
        self.rule.send_modify(|rule| rule.traffic = Traffic::Flows);
    }

    /// Lets newcomers pass. Who is under way stands still for ever, and is told nothing.
    pub fn open_to_newcomers(&self) {
        self.rule.send_modify(|rule| *rule = Rule { traffic: Traffic::Flows, losses: rule.losses + 1 });
    }
}

/// Carries one connection until either side ends it, or the road does.
async fn carry(near: TcpStream, destination: String, rules: watch::Receiver<Rule>) {
    let losses = rules.borrow().losses;
    let mut ends = rules.clone();
    let way = async {
        let mut flows = rules.clone();
        flows.wait_for(|rule| rule.flows_for(losses)).await.ok()?;
        let far = TcpStream::connect(destination).await.ok()?;
        let ((near_reads, near_writes), (far_reads, far_writes)) = (near.into_split(), far.into_split());
        tokio::select! {
            way = pass(near_reads, far_writes, rules.clone(), losses) => way,
            way = pass(far_reads, near_writes, rules.clone(), losses) => way,
        }
    };
    tokio::select! {
        _ = way => {}
        _ = ends.wait_for(|rule| rule.traffic == Traffic::Ends) => {}
    }
}

async fn pass(
    mut from: OwnedReadHalf,
    mut to: OwnedWriteHalf,
    mut rules: watch::Receiver<Rule>,
    losses: u32,
) -> Option<()> {
    let mut bytes = vec![0; 64 * 1024];
    loop {
        let count = from.read(&mut bytes).await.ok().filter(|count| *count > 0)?;
        rules.wait_for(|rule| rule.flows_for(losses)).await.ok()?;
        to.write_all(&bytes[..count]).await.ok()?;
    }
}

impl Rule {
    /// Whether a connection passes that was made after this many losses.
    fn flows_for(self, losses: u32) -> bool {
        self.traffic == Traffic::Flows && self.losses == losses
    }
}
