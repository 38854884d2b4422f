//! Making tenants.

use super::Engine;
use super::keys::KeysError;
use super::rotate::carry_out;
use crate::domain::id::TenantId;
use crate::domain::key_ring::{KeyRing, Step};
use crate::domain::tenant::{TOKEN_SUBJECT_STANDARD, Tenant};
use crate::domain::token::{Algorithm, TokenTtl};
use crate::store::{settings, tenants};

/// What somebody wishes of a tenant.
#[derive(Debug, Clone)]
pub struct NewTenant {
    pub name: String,
    pub algorithm: Algorithm,
    pub token_subject: Option<String>,
    pub token_ttl: TokenTtl,
}

impl NewTenant {
    /// A tenant with this name and nothing else out of the ordinary.
    pub fn named(name: &str) -> Self {
        Self { name: name.to_owned(), algorithm: Algorithm::Es256, token_subject: None, token_ttl: TokenTtl::STANDARD }
    }
}

impl Engine {
    /// Makes a tenant together with its first keys: when this returns, it can sign.
    pub async fn create_tenant(&self, wish: NewTenant) -> Result<Tenant, KeysError> {
        self.insert_tenant(wish, false).await
    }

    /// The tenant that is meant when nobody is named; made at the first start.
    pub async fn ensure_default_tenant(&self) -> Result<Tenant, KeysError> {
        let mut reader = self.store.read().await?;
        let found = tenants::default(reader.conn()).await?;
        drop(reader);
        match found {
            Some(tenant) => Ok(tenant),
            None => self.insert_tenant(NewTenant::named("default"), true).await,
        }
    }

    async fn insert_tenant(&self, wish: NewTenant, is_default: bool) -> Result<Tenant, KeysError> {
        let tenant = Tenant {
            id: TenantId::from_bytes(self.clock.id()),
            name: wish.name,
            is_default,
            algorithm: wish.algorithm,
            token_subject: wish.token_subject.unwrap_or_else(|| TOKEN_SUBJECT_STANDARD.to_owned()),
            token_ttl: wish.token_ttl,
            created_at: self.clock.now(),
        };
        // Keys first, and all in one transaction: nobody ever sees a tenant without keys, or caches an empty set.
        let made = self.make_for(&Step::Open, tenant.id, tenant.algorithm).await?;
        let mut tx = self.store.write().await?;
        if is_default {
            settings::hold_first_start(tx.conn()).await?;
            // Another node may have been first.
            if let Some(tenant) = tenants::default(tx.conn()).await? {
                drop(tx);
                self.refresh_keys().await?;
                return Ok(tenant);
            }
        }
        tenants::insert(tx.conn(), &tenant).await?;
        carry_out(tx.conn(), (tenant.id, &KeyRing::default()), &Step::Open, made, self.clock.now()).await?;
        tx.commit().await?;
        self.follow_up(tenant.id).await;
        Ok(tenant)
    }
}
