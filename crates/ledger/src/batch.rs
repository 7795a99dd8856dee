//! Many callers, one round trip.
//!
//! The cost of a receipt is commits and round trips, so callers that arrive while one batch commits share the next
//! one. There is no timer: a lone caller is served at once, and the batches grow by themselves under load.

use std::future::Future;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;

use futures_util::FutureExt;
use tokio::sync::{mpsc, oneshot};
use tokio_util::task::TaskTracker;

use crate::error::LedgerError;

type Answer<O> = oneshot::Sender<Result<O, LedgerError>>;

/// The front of one kind of shared statement.
#[derive(Debug)]
pub(crate) struct Batcher<I, O> {
    queue: mpsc::Sender<(I, Answer<O>)>,
}

impl<I, O> Clone for Batcher<I, O> {
    fn clone(&self) -> Self {
        Self {
            queue: self.queue.clone(),
        }
    }
}

impl<I, O> Batcher<I, O>
where
    I: Clone + Send + Sync + 'static,
    O: Send + 'static,
{
    /// Starts the task that runs `statement` for up to `largest` inputs at a time. `statement` gives one output per
    /// input, in order; its inputs are shared, because it may have to be repeated. The task ends when the last front is
    /// dropped.
    pub(crate) fn start<F, Fut>(tasks: &TaskTracker, largest: usize, statement: F) -> Self
    where
        F: Fn(Arc<[I]>) -> Fut + Send + Sync + 'static,
        Fut: Future<Output = Result<Vec<O>, LedgerError>> + Send + 'static,
    {
        // The queue is bounded so that a slow database slows its callers and does not fill the memory.
        let (queue, waiting) = mpsc::channel(largest * 2);
        tasks.spawn(run(waiting, largest, statement));
        Self { queue }
    }

    /// Waits for a place in a batch and for that batch's commit.
    pub(crate) async fn call(&self, input: I) -> Result<O, LedgerError> {
        let (answer, answered) = oneshot::channel();
        self.queue
            .send((input, answer))
            .await
            .map_err(|_| LedgerError::Closed)?;
        answered.await.map_err(|_| LedgerError::Closed)?
    }
}

async fn run<I, O, F, Fut>(mut waiting: mpsc::Receiver<(I, Answer<O>)>, largest: usize, statement: F)
where
    I: Clone + Send + Sync,
    O: Send,
    F: Fn(Arc<[I]>) -> Fut + Send + Sync,
    Fut: Future<Output = Result<Vec<O>, LedgerError>> + Send + 'static,
{
    let mut batch = Vec::with_capacity(largest);
    while waiting.recv_many(&mut batch, largest).await > 0 {
        let (inputs, answers): (Vec<I>, Vec<Answer<O>>) = batch.drain(..).unzip();
        let inputs: Arc<[I]> = inputs.into();
        match settled_statement(&statement, &inputs).await {
            Ok(outputs) => {
                debug_assert_eq!(outputs.len(), answers.len(), "one output per input");
                for (answer, output) in answers.into_iter().zip(outputs) {
                    // A caller that no longer listens was dropped with its task; its row is as good as any other.
                    let _ = answer.send(Ok(output));
                }
            }
            Err(error) if error.is_outage() || answers.len() == 1 => {
                for answer in answers {
                    let _ = answer.send(Err(error.clone()));
                }
            }
            // The data of one input failed the statement for all: each gets a statement of its own.
            Err(_) => {
                let mut outage = None;
                for (input, answer) in inputs.iter().zip(answers) {
                    let alone = match outage.clone() {
                        // Each further statement would wait for a connection as long as the one that met the outage.
                        Some(error) => Err(error),
                        None => settled_statement(&statement, &[input.clone()].into())
                            .await
                            .and_then(|mut outputs| outputs.pop().ok_or(LedgerError::Closed)),
                    };
                    outage = alone.as_ref().err().filter(|error| error.is_outage()).cloned();
                    let _ = answer.send(alone);
                }
            }
        }
    }
}

/// Runs the statement for all `inputs`, again if it was rolled back only because it met another one.
async fn settled_statement<I, O, F, Fut>(statement: &F, inputs: &Arc<[I]>) -> Result<Vec<O>, LedgerError>
where
    F: Fn(Arc<[I]>) -> Fut,
    Fut: Future<Output = Result<Vec<O>, LedgerError>>,
{
    for _ in 0..3 {
        match alone(statement(Arc::clone(inputs))).await {
            Err(error) if error.is_collision() => {
                tracing::warn!("a statement met another one of the same rows and is repeated");
            }
            settled => return settled,
        }
    }
    alone(statement(Arc::clone(inputs))).await
}

/// The statement. A panic in it must not end the task that all later callers depend on.
async fn alone<O>(statement: impl Future<Output = Result<O, LedgerError>>) -> Result<O, LedgerError> {
    AssertUnwindSafe(statement).catch_unwind().await.unwrap_or_else(|_| {
        Err(LedgerError::Corrupt {
            id: String::from("-"),
            what: String::from("a statement of ours panicked on it"),
        })
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::{AtomicUsize, Ordering};

    fn refused() -> LedgerError {
        LedgerError::Data {
            constraint: "odd".into(),
            source: Arc::new(sqlx::Error::RowNotFound),
        }
    }

    #[tokio::test]
    async fn callers_that_arrive_during_a_commit_share_the_next_one() {
        let statements = Arc::new(AtomicUsize::new(0));
        let counted = Arc::clone(&statements);
        let (open, gate) = tokio::sync::watch::channel(false);
        let batcher = Batcher::start(&TaskTracker::new(), 100, move |inputs: Arc<[u32]>| {
            let counted = Arc::clone(&counted);
            let mut gate = gate.clone();
            async move {
                counted.fetch_add(1, Ordering::SeqCst);
                gate.wait_for(|open| *open)
                    .await
                    .expect("the gate outlives the statements");
                Ok(inputs.iter().map(|n| n * 2).collect())
            }
        });
        let mut callers = tokio::task::JoinSet::new();
        for n in 0..50_u32 {
            let batcher = batcher.clone();
            callers.spawn(async move { (n, batcher.call(n).await) });
        }
        while statements.load(Ordering::SeqCst) == 0 {
            tokio::task::yield_now().await;
        }
        for _ in 0..100 {
            tokio::task::yield_now().await;
        }
        open.send(true).expect("the statement listens");
        while let Some(answer) = callers.join_next().await {
            let (n, doubled) = answer.expect("no panic");
            assert_eq!(doubled.expect("no error"), n * 2);
        }
        assert!(
            statements.load(Ordering::SeqCst) <= 3,
            "50 callers in at most three statements"
        );
    }

    #[tokio::test]
    async fn bad_data_of_one_caller_never_fails_its_neighbours() {
        let batcher = Batcher::start(&TaskTracker::new(), 100, |inputs: Arc<[u32]>| async move {
            if inputs.iter().any(|n| n % 2 == 1) {
                Err(refused())
            } else {
                Ok(inputs.to_vec())
            }
        });
        let (first, odd, last) = tokio::join!(batcher.call(2), batcher.call(3), batcher.call(4));
        assert_eq!(first.expect("even"), 2);
        assert!(matches!(odd, Err(LedgerError::Data { .. })));
        assert_eq!(last.expect("even"), 4);
    }

    #[tokio::test]
    async fn an_outage_while_each_has_a_statement_of_its_own_is_met_once() {
        let statements = Arc::new(AtomicUsize::new(0));
        let counted = Arc::clone(&statements);
        let batcher = Batcher::start(&TaskTracker::new(), 100, move |inputs: Arc<[u32]>| {
            let statement = counted.fetch_add(1, Ordering::SeqCst);
            async move {
                match statement {
                    0 => Err(refused()),
                    1 => Ok(inputs.to_vec()),
                    _ => Err(LedgerError::Unavailable(Arc::new(sqlx::Error::PoolTimedOut))),
                }
            }
        });
        let (first, second, third) = tokio::join!(batcher.call(1), batcher.call(2), batcher.call(3));
        assert_eq!(first.expect("its own statement was taken"), 1);
        assert!(second.is_err_and(|error| error.is_outage()));
        assert!(third.is_err_and(|error| error.is_outage()));
        assert_eq!(
            statements.load(Ordering::SeqCst),
            3,
            "the third did not wait for a connection again"
        );
    }
}
