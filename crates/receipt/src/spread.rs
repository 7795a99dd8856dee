//! Spreading the discount of an order over its lines, exactly to the kopeck.
//!
//! A fiscal receipt knows no discount on the order: prices carry it, and every line must be `price × quantity`. So the
//! discount goes to the rows by largest remainder, and a row that its pieces do not divide becomes two lines whose
//! prices differ by one kopeck. Only whole pieces are spread; goods by weight keep their price, and the caller spreads
//! over the rest. Splitting may double the number of lines; a receipt takes [`crate::request::MOST_LINES`].

use std::num::NonZeroU32;

use crate::money::Money;

/// Whole pieces at one price.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Pieces {
    /// How many.
    pub count: NonZeroU32,
    /// Price of one.
    pub price: Money,
}

impl Pieces {
    /// `count × price`, exact.
    #[must_use]
    pub fn sum(self) -> Money {
        Money::from_kopecks(self.price.kopecks().saturating_mul(i64::from(self.count.get())))
    }
}

/// Why a total can't be reached.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Unspreadable {
    /// A price below zero.
    #[error("a price is negative")]
    NegativePrice,
    /// The prices do not add up to the total, and a discount only lowers them.
    #[error("the total is above {most}, the sum of the lines")]
    AboveSum {
        /// The sum without a discount.
        most: Money,
    },
    /// A piece that costs something must keep at least a kopeck, or it would be given away.
    #[error("the total is below {least}, one kopeck for each paid piece")]
    BelowKopecks {
        /// The smallest total that can be reached.
        least: Money,
    },
}

/// The lines that `rows` become when together they shall cost `total`: one or two for each row, in its order, the
/// cheaper part first.
///
/// The sums are exact, no price is negative, no paid piece falls to zero and none gets dearer. The result depends on
/// nothing but the input: the discount of a row is proportional to it, and left-over kopecks go to the largest
/// fraction, then to the larger row, then to the first.
///
/// # Errors
/// [`Unspreadable`] when the total is above the sum of the rows or below a kopeck for each paid piece.
pub fn spread(rows: &[Pieces], total: Money) -> Result<Vec<Vec<Pieces>>, Unspreadable> {
    if rows.iter().any(|row| row.price < Money::ZERO) {
        return Err(Unspreadable::NegativePrice);
    }
    let sums: Vec<i128> = rows.iter().map(|row| i128::from(row.sum().kopecks())).collect();
    let rooms: Vec<i128> = rows
        .iter()
        .zip(&sums)
        .map(|(row, sum)| (sum - i128::from(row.count.get())).max(0))
        .collect();
    let whole: i128 = sums.iter().sum();
    let discount = whole - i128::from(total.kopecks());
    if discount < 0 {
        return Err(Unspreadable::AboveSum { most: money(whole) });
    }
    let room: i128 = rooms.iter().sum();
    if discount > room {
        return Err(Unspreadable::BelowKopecks {
            least: money(whole - room),
        });
    }
    let discounts = share(discount, &sums, &rooms);
    Ok(rows
        .iter()
        .zip(sums.iter().zip(discounts))
        .map(|(row, (sum, discount))| split(*row, sum - discount))
        .collect())
}

/// Shares `discount` in proportion to `sums`, no share above its room. There is room enough.
fn share(discount: i128, sums: &[i128], rooms: &[i128]) -> Vec<i128> {
    let mut shares = vec![0; sums.len()];
    let mut open: Vec<usize> = (0..sums.len()).filter(|&index| rooms[index] > 0).collect();
    let mut left = discount;
    // Rows without room for their share take what they can, and the others share the rest anew.
    loop {
        let weight: i128 = open.iter().map(|&index| sums[index]).sum();
        let (full, still): (Vec<usize>, Vec<usize>) = open
            .iter()
            .partition(|&&index| left * sums[index] / weight > rooms[index]);
        if full.is_empty() {
            break;
        }
        for index in full {
            shares[index] = rooms[index];
            left -= rooms[index];
        }
        open = still;
    }
    let weight: i128 = open.iter().map(|&index| sums[index]).sum();
    let mut rest = left;
    for &index in &open {
        shares[index] = left * sums[index] / weight;
        rest -= shares[index];
    }
    // The sort is stable, so equal rows stay in their order.
    open.sort_by_key(|&index| std::cmp::Reverse((left * sums[index] % weight, sums[index])));
    while rest > 0 {
        for &index in &open {
            if rest > 0 && shares[index] < rooms[index] {
                shares[index] += 1;
                rest -= 1;
            }
        }
    }
    shares
}

/// The pieces of `row` at a new sum: one line, or two whose prices differ by a kopeck.
fn split(row: Pieces, sum: i128) -> Vec<Pieces> {
    let count = i128::from(row.count.get());
    let (price, dearer) = (sum / count, sum % count);
    [(count - dearer, price), (dearer, price + 1)]
        .into_iter()
        .filter_map(|(count, price)| {
            let count = NonZeroU32::new(u32::try_from(count).unwrap_or(0))?;
            Some(Pieces {
                count,
                price: money(price),
            })
        })
        .collect()
}

fn money(kopecks: i128) -> Money {
    Money::from_kopecks(i64::try_from(kopecks).unwrap_or(i64::MAX))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn pieces(count: u32, kopecks: i64) -> Pieces {
        Pieces {
            count: NonZeroU32::new(count).expect("above zero"),
            price: Money::from_kopecks(kopecks),
        }
    }

    #[test]
    fn a_discount_of_two_hundred_roubles_over_three_lines() {
        let rows = [pieces(3, 33_300), pieces(1, 129_900), pieces(7, 4_550)];
        let lines = spread(&rows, Money::from_kopecks(241_650)).expect("can be spread");
        assert_eq!(
            lines,
            [
                vec![pieces(1, 30_754), pieces(2, 30_755)],
                vec![pieces(1, 119_971)],
                vec![pieces(6, 4_202), pieces(1, 4_203)],
            ]
        );
    }

    #[test]
    fn equal_rows_give_their_kopecks_in_order() {
        let rows = [pieces(1, 100); 3];
        let lines = spread(&rows, Money::from_kopecks(298)).expect("can be spread");
        assert_eq!(lines, [vec![pieces(1, 99)], vec![pieces(1, 99)], vec![pieces(1, 100)]]);
    }

    #[test]
    fn paid_pieces_keep_a_kopeck_and_gifts_stay_gifts() {
        let rows = [pieces(5, 1), pieces(2, 0), pieces(1, 100)];
        let lines = spread(&rows, Money::from_kopecks(6)).expect("a kopeck for each paid piece");
        assert_eq!(lines, [vec![pieces(5, 1)], vec![pieces(2, 0)], vec![pieces(1, 1)]]);
        assert_eq!(
            spread(&rows, Money::from_kopecks(5)),
            Err(Unspreadable::BelowKopecks {
                least: Money::from_kopecks(6)
            })
        );
        assert_eq!(
            spread(&rows, Money::from_kopecks(106)),
            Err(Unspreadable::AboveSum {
                most: Money::from_kopecks(105)
            })
        );
        assert_eq!(spread(&[], Money::ZERO), Ok(vec![]));
    }

    fn rows() -> impl Strategy<Value = Vec<Pieces>> {
        let price = prop_oneof![0..5_i64, 0..100_000_i64, 0..=42_949_672_i64];
        let row = (prop_oneof![1..4_u32, 1..100_u32], price).prop_map(|(count, kopecks)| pieces(count, kopecks));
        prop::collection::vec(row, 0..12)
    }

    proptest! {
        #[test]
        fn what_is_spread_is_exact_and_gives_nothing_away(rows in rows(), part in 0..=1000_i64) {
            let whole: i64 = rows.iter().map(|row| row.sum().kopecks()).sum();
            let least: i64 = rows.iter().filter(|row| row.price > Money::ZERO).map(|row| i64::from(row.count.get())).sum();
            let total = least + (whole - least) * part / 1000;
            let lines = spread(&rows, Money::from_kopecks(total)).expect("between the least and the sum");
            prop_assert_eq!(lines.iter().flatten().map(|line| line.sum().kopecks()).sum::<i64>(), total);
            prop_assert_eq!(lines.len(), rows.len());
            for (row, lines) in rows.iter().zip(&lines) {
                prop_assert!((1..=2).contains(&lines.len()));
                prop_assert_eq!(lines.iter().map(|line| line.count.get()).sum::<u32>(), row.count.get());
                for line in lines {
                    prop_assert!(line.price <= row.price);
                    prop_assert_eq!(line.price > Money::ZERO, row.price > Money::ZERO);
                }
            }
            prop_assert_eq!(spread(&rows, Money::from_kopecks(total)), Ok(lines));
        }

        #[test]
        fn no_total_panics(rows in rows(), total in any::<i64>()) {
            let _ = spread(&rows, Money::from_kopecks(total));
        }

        #[test]
        fn no_discount_changes_nothing(rows in rows()) {
            let whole: Money = rows.iter().map(|row| row.sum()).sum();
            let same: Vec<Vec<Pieces>> = rows.iter().map(|row| vec![*row]).collect();
            prop_assert_eq!(spread(&rows, whole), Ok(same));
        }
    }
}
