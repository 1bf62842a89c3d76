//! Products that the search for the top eigenvalues of matrices takes, for comparison with
//! `scipy.sparse.linalg.eigsh` on the same files: `benches/peers/eigsh.py` writes them and runs both.
//!
//!     cargo run --release -p feasible-spectrum --example count_products -- 5 1e-6 20 *.npy

use std::path::Path;

use feasible_spectrum::{Copies, Settings, Wanted, eigenpairs, read_npy};

#[allow(clippy::print_stdout)]
fn main() -> Result<(), Box<dyn std::error::Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [count, tolerance, basis, files @ ..] = &arguments[..] else {
        return Err("arguments: count tolerance basis files".into());
    };
    let count: usize = count.parse()?;
    for file in files {
        let mut matrix = read_npy(Path::new(file))?;
        for copies in [Copies::Trust, Copies::Search] {
            for seed in 0..5 {
                let settings = Settings {
                    tolerance: tolerance.parse()?,
                    basis: basis.parse()?,
                    copies,
                    seed,
                    ..Settings::default()
                };
                let found = eigenpairs(&mut matrix, Wanted::Top(count), &settings)?;
                let worst = found.pairs.iter().map(|p| p.residual).fold(0.0, f64::max);
                println!(
                    "{file} {copies:?} {seed} {} {} {} {:?} {worst:e} {}",
                    found.products,
                    found.verification_products,
                    found.search_products,
                    found.status,
                    found.pairs.iter().map(|p| p.value).sum::<f64>()
                );
            }
        }
    }
    Ok(())
}
