//! What every vendor can do, in words that the stages share.
//!
//! A call returns a [`Reply`] and not a `Result`: every outcome of a call, silence included, is data that is stored
//! before anybody judges it. The class of a refusal comes from the vendor's own code table.

use std::time::Duration;

use async_trait::async_trait;
use jiff::Timestamp;
use receipt::{ExternalId, FiscalDocument, Operation, Receipt, Refusal, VendorName, VendorUuid};

/// One account at a vendor, ready to be called. Cheap to share; holds connections and the token.
#[async_trait]
pub trait Vendor: Send + Sync {
    /// The name in the registry; also the routing key of pointers.
    fn name(&self) -> &VendorName;

    /// The request as the vendor spells it. Pure: the same input gives the same bytes. It is made once per
    /// registration and stored; every repetition sends those bytes.
    ///
    /// # Errors
    /// A refusal of class `Permanent` when the receipt cannot be expressed at this vendor.
    fn render(&self, rendering: &Rendering<'_>) -> Result<String, Box<Refusal>>;

    /// Sends one registration, once. Nothing is repeated inside, but for one fresh token after an expired one.
    async fn register(&self, call: &Call<'_>) -> Reply<Registered>;

    /// `None` for a vendor that answers at once and has nothing to poll.
    fn follower(&self) -> Option<&dyn Follower>;

    /// `None` for a vendor that never calls: then no callback address goes into its requests.
    fn caller(&self) -> Option<&dyn Caller> {
        None
    }

    /// Calls the vendor without any effect on receipts, to learn whether the account works: a closed gate is probed
    /// with it. `None` when the vendor has no such call; then one real registration is the probe.
    async fn probe(&self) -> Option<Reply<()>>;

    /// How long, from now, a repetition under the same id is known to be recognised by the vendor: after `refusal`, or
    /// after a try that ended without a word. A registration in doubt must not be sent again when it has passed.
    fn idempotency_horizon(&self, refusal: Option<&Refusal>) -> Duration;

    /// Whether an account that is refused with this kind and code may no longer recognise its repetitions: its memory has
    /// failed. Such a refusal halts the account and leaves a doubt as well, and while it lasts no receipt in doubt may be
    /// sent to find out whether the account works again.
    fn may_have_forgotten(&self, _kind: &str, _code: &str) -> bool {
        false
    }

    /// The longest that one [`Vendor::register`] can take, token included: the lease must be longer.
    fn longest_call(&self) -> Duration;
}

/// The ability to be asked what became of a registration.
#[async_trait]
pub trait Follower: Send + Sync {
    /// Asks once. It changes nothing at the vendor, so no outcome of it leaves a doubt.
    ///
    /// `Err` means that the question was not answered: no token, no connection, throttled, a broken answer, or
    /// (`Halt`) an account that is refused. An answer that settles nothing is [`News::None`] with its reason.
    async fn follow(&self, vendor_uuid: &VendorUuid) -> Reply<News>;
}

/// The ability to tell us that a registration has ended. Whoever knows the address can do it too, so what is told is
/// only a hint to ask.
pub trait Caller: Send + Sync {
    /// Which registration a callback's body names. Any bytes may come.
    fn named(&self, body: &[u8]) -> Named;

    /// Why the vendor would not call this address, in words that follow it. The address itself is not shown.
    fn address_fault(&self, url: &str) -> Option<&'static str>;
}

/// The registration that a callback names, in the two ways in which it may. Neither is to be trusted.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Named {
    /// The vendor's id.
    pub vendor_uuid: Option<VendorUuid>,
    /// Our key.
    pub external_id: Option<ExternalId>,
}

/// What a request is rendered from.
#[derive(Debug, Clone, Copy)]
pub struct Rendering<'a> {
    /// The frozen content.
    pub receipt: &'a Receipt,
    /// What is registered.
    pub operation: Operation,
    /// The idempotency key.
    pub external_id: &'a ExternalId,
    /// When the registration was first rendered; some vendors want it in the body.
    pub rendered_at: Timestamp,
    /// Where the vendor may call back, if the store has a public address.
    pub callback_url: Option<&'a str>,
}

/// One registration to be sent.
#[derive(Debug, Clone, Copy)]
pub struct Call<'a> {
    /// What is registered.
    pub operation: Operation,
    /// The idempotency key, as it stands in the body.
    pub external_id: &'a ExternalId,
    /// The stored bytes of the request.
    pub wire_body: &'a str,
}

/// What a call came to, and the evidence.
#[derive(Debug, Clone)]
pub struct Reply<T> {
    /// What was asked and answered.
    pub exchange: Exchange,
    /// What it means.
    pub outcome: Result<T, Box<Refusal>>,
}

/// The evidence of one call: stored with the attempt.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Exchange {
    /// Method and path, without secrets. The body of a registration is stored with the registration.
    pub request: String,
    /// HTTP status, if an answer began.
    pub http_status: Option<u16>,
    /// The answer's body, cut to [`LONGEST_ANSWER_KEPT`], with secrets and the buyer masked. `None` when none came.
    pub answer: Option<String>,
    /// From the first byte of the first call to the last byte of the last one.
    pub duration: Duration,
    /// Whether the answer was made now.
    pub origin: Origin,
}

/// Where an answer comes from.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Origin {
    /// The vendor looked at this request, as far as it says.
    #[default]
    Fresh,
    /// The vendor says that it only repeats what it answered to an earlier try of the same id: that is what became of it.
    Memory,
}

/// How much of an answer is stored, in bytes.
pub const LONGEST_ANSWER_KEPT: usize = 16 * 1024;

/// A registration that the vendor did not refuse.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Registered {
    /// The vendor took it and will say later what became of it.
    Accepted {
        /// The vendor's id, to ask with.
        vendor_uuid: VendorUuid,
        /// Whether the vendor knew the id already: an earlier try of ours, or somebody else's document.
        adopted: Adopted,
    },
    /// Registered at once.
    Done(Box<FiscalDocument>),
}

/// Whether an id was already known to the vendor.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Adopted {
    /// This call made it.
    No,
    /// An earlier call made it.
    Yes,
}

/// What became of a registration that the vendor took.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum News {
    /// Not ready, or no usable answer: ask again later. The reason is there when it was not a plain "wait".
    None(Option<Box<Refusal>>),
    /// Registered.
    Done {
        /// The fiscal document.
        fiscal: Box<FiscalDocument>,
        /// The id that the vendor says the document has, when it says one.
        external_id: Option<String>,
    },
    /// Refused in the end. The class of the refusal tells whether the id is proven dead (`Rekey`, `Permanent`).
    Refused(Box<Refusal>),
}
