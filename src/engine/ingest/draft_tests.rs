//! What is new, what was said before, and what is too much.

use bytes::Bytes;

use super::*;
use crate::domain::id::WebhookId;
use crate::domain::time::Timestamp;
use crate::domain::webhook::DeliveryMethod;
use crate::engine::ingest::Idempotency;
use crate::store::webhooks::Listener;

const NOW: Timestamp = Timestamp::from_micros(0);

fn publication(key: &str, asked: &str) -> Publication {
    let event = NewEvent { event_type: "user.created".parse().unwrap(), payload: Bytes::new(), occurred_at: None };
    let idempotency = Some(Idempotency::new(key.to_owned(), asked.as_bytes()));
    Publication { tenant_id: TenantId::from_bytes([1; 16]), events: vec![event], idempotency }
}

fn draft(batch: &[&Publication]) -> Draft {
    let mut number = 0;
    Draft::of(batch, &HashMap::new(), |publication, event| {
        number += 1;
        Event {
            id: EventId::from_bytes([number; 16]),
            tenant_id: publication.tenant_id,
            event_type: event.event_type.clone(),
            payload: event.payload.clone(),
            occurred_at: NOW,
            accepted_at: NOW,
            deliveries: 0,
        }
    })
}

fn concerning(count: u32) -> Listeners {
    let listener = |number: u32| {
        let mut id = [0; 16];
        id[..4].copy_from_slice(&number.to_be_bytes());
        let listener = Listener { webhook_id: WebhookId::from_bytes(id), version: 1 };
        Subscriber { listener, method: DeliveryMethod::Push }
    };
    let of = (TenantId::from_bytes([1; 16]), "user.created".parse().unwrap());
    HashMap::from([(of, (0..count).map(listener).collect())])
}

fn said(answer: &Answer) -> &Result<Accepted, IngestError> {
    match answer {
        Answer::Said(said) => said,
        Answer::Remembered(_) => panic!("nothing is remembered here"),
    }
}

#[test]
fn the_same_request_twice_in_a_batch_makes_one_event() {
    let (one, other) = (publication("k", "a"), publication("k", "b"));
    let mut draft = draft(&[&one, &one, &other]);
    draft.bound(&concerning(2));

    let (events, outlook) = draft.settled();

    assert_eq!(events.len(), 1);
    assert!(matches!(said(&outlook.answers[0]), Ok(Accepted::Fresh(receipts)) if receipts[0].deliveries == 2));
    assert!(
        matches!(said(&outlook.answers[1]), Ok(Accepted::Replayed(receipts)) if receipts[0].event_id == events[0].id)
    );
    assert_eq!(*said(&outlook.answers[2]), Err(IngestError::KeyReused));
    assert_eq!(outlook.names(&[&one, &one, &other]).len(), 1);
}

#[test]
fn what_does_not_fit_beside_the_others_may_come_again_and_what_never_fits_may_not() {
    let batch = [publication("a", ""), publication("b", ""), publication("a", "")];
    let batch: Vec<&Publication> = batch.iter().collect();

    let mut crowded = draft(&batch);
    crowded.bound(&concerning(60_000));
    let mut too_wide = draft(&batch);
    too_wide.bound(&concerning(100_001));

    let (events, crowded) = crowded.settled();
    assert_eq!(events.len(), 1);
    assert_eq!(*said(&crowded.answers[1]), Err(IngestError::Overloaded));
    let (events, too_wide) = too_wide.settled();
    assert_eq!(events.len(), 0);
    assert_eq!(*said(&too_wide.answers[0]), Err(IngestError::TooWide));
    assert_eq!(*said(&too_wide.answers[2]), Err(IngestError::TooWide));
}
