//! The registrations' calls to the store, each with the event that answers it.

use flota_agent::registrations::{Effect, Event, PutResult, RenewResult};
use flota_etcd::{EtcdError, Leased, StoreClient};

/// Carries out a call; none for an effect that is no call.
pub async fn carry_out(client: StoreClient, effect: Effect) -> Option<Event> {
    Some(match effect {
        Effect::Grant { unit, serial, ttl } => {
            let result = client.grant_application(ttl).await.map_err(|error| error.to_string());
            Event::Granted { unit, serial, result }
        }
        Effect::Put { unit, lease, key, value, overwrite } => {
            let result = written(client.put_leased(&key, &value, lease, overwrite).await);
            Event::Written { unit, lease, key, result }
        }
        Effect::Delete { unit, lease, key } => {
            let result = written(client.delete_leased(&key, lease).await.map(|()| Leased::Here));
            Event::Written { unit, lease, key, result }
        }
        Effect::Renew { unit, lease } => {
            let result = match client.renew(lease).await {
                Ok(()) => RenewResult::Alive,
                Err(error) if error.is_unknown_lease() => RenewResult::Lost,
                Err(error) => RenewResult::Failed(error.to_string()),
            };
            Event::Renewed { unit, lease, result }
        }
        Effect::Revoke(lease) => Event::Revoked { lease, gone: client.revoke(lease).await.is_ok() },
        _ => return None,
    })
}

fn written(result: Result<Leased, EtcdError>) -> PutResult {
    match result {
        Ok(Leased::Here) => PutResult::Done,
        Ok(Leased::Taken) => PutResult::Taken,
        Err(error) if error.is_unknown_lease() => PutResult::NoLease,
        Err(error) => PutResult::Failed(error.to_string()),
    }
}
