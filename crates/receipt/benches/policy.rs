//! The retry policy: what is decided after every try that did not succeed.

use std::hint::black_box;

use criterion::{Criterion, criterion_group, criterion_main};
use receipt::{Doubt, RetryClass, RetryPolicy};

fn policy_benchmarks(criterion: &mut Criterion) {
    let policy = RetryPolicy::default();
    let classes = [
        RetryClass::NOT_SEEN,
        RetryClass::MAYBE_SEEN,
        RetryClass::Rekey,
        RetryClass::Halt { certain: true },
        RetryClass::Permanent,
        RetryClass::Unknown,
    ];
    criterion.bench_function("decide about six classes, with and without a doubt", |bencher| {
        bencher.iter(|| {
            for class in &classes {
                for doubt in [Doubt::None, Doubt::Stands] {
                    black_box(policy.decide(black_box(class), doubt, black_box(3)));
                }
            }
        });
    });
}

criterion_group!(benches, policy_benchmarks);
criterion_main!(benches);
