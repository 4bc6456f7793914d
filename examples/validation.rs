//! Payloads that keep their rules, and errors that a client can understand.
//!
//! ```text
//! cargo run --package examples --example validation
//! ```
//!
//! ```js
//! const socket = io("http://localhost:3000");
//! socket.on("exception", ({ code, message }) => console.warn(code, message));
//! await socket.emitWithAck("order", { tea: "oolong", cups: 99 });
//! // { status: "error", code: "VALIDATION", message: "Validation failed", details: […] }
//! ```

use std::collections::HashMap;
use std::error::Error;

use garde::Validate;
use portcullis::gateway::{EventError, State, Valid};
use portcullis::{Server, ServerBuilder, gateway, shutdown_signal};
use serde::{Deserialize, Serialize};

/// What a client has to send: checked before the handler runs.
#[derive(Deserialize, Validate)]
struct Order {
    #[garde(length(chars, min = 1, max = 32))]
    tea: String,
    #[garde(range(min = 1, max = 12))]
    cups: u32,
}

#[derive(Serialize)]
struct Receipt {
    cents: u32,
}

/// How an order can fail although it keeps its rules.
#[derive(Debug, thiserror::Error, EventError)]
enum OrderError {
    #[error("There is no {tea}")]
    SoldOut { tea: String },
    /// The client sees `Internal server error` and an id, by which the log finds the cause.
    #[error("the till is broken")]
    #[event(internal)]
    Till(#[source] std::io::Error),
}

/// What is in the shop: cents a cup.
struct Stock(HashMap<&'static str, u32>);

impl Stock {
    fn sell(&self, order: &Order) -> Result<Receipt, OrderError> {
        let price = self.0.get(order.tea.as_str());
        let price = price.ok_or_else(|| OrderError::SoldOut {
            tea: order.tea.clone(),
        })?;
        let cents = price.checked_mul(order.cups);
        let overflow = || OrderError::Till(std::io::Error::other("the till counts to 2^32"));
        Ok(Receipt {
            cents: cents.ok_or_else(overflow)?,
        })
    }
}

struct Shop;

#[gateway(public)]
impl Shop {
    #[subscribe("order")]
    fn order(
        &self,
        stock: State<Stock>,
        Valid(order): Valid<Order>,
    ) -> Result<Receipt, OrderError> {
        stock.sell(&order)
    }
}

pub(crate) fn server() -> ServerBuilder {
    let stock = Stock(HashMap::from([("oolong", 250), ("gyokuro", u32::MAX)]));
    Server::builder().state(stock).gateway(Shop)
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let server = server().build().await?;
    server.serve("127.0.0.1:3000", shutdown_signal()).await?;
    Ok(())
}
