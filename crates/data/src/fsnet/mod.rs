//! FSNet's families: convex programs and their non-convex relatives, in constraints as well.
//!
//! Nguyen & Donti, "FSNet: Feasibility-Seeking Neural Network for Constrained Optimization with
//! Guarantees", NeurIPS 2025, arXiv 2506.00362; `datasets/{convex,nonconvex}/{qp,qcqp,socp}/make_data.py`
//! and `utils/optimization_utils.py` of MOSSLab-MIT/FSNet. After `np.random.seed(2025)`, in order:
//!
//! | array | draw | shape | families |
//! |---|---|---|---|
//! | `Q` | diagonal of ½ U[0, 1) | `[n, n]` | all |
//! | `p` | U[-1, 1) | `[n]` | all |
//! | `A` | U[-1, 1) | `[eq, n]` | all |
//! | `X` | U[-1, 1) | `[samples, eq]` | all |
//! | `G` | U[-1, 1) | `[ineq, n]` | qp, qcqp |
//! | `H` | U[0, 0.1) | `[ineq, n]` | qcqp |
//! | `x0` | U[-1, 1) | `[n]` | socp |
//! | `G_i`, `h_i`, `C_i`, row by row | U[-1, 1) | `[ineq, n]`, `[ineq]`, `[n]` | socp |
//!
//! with `h = Σ_j ∣(G A⁺)_ij∣` for the first two and `d_i = ‖G_i x0 + h_i‖ - C_iᵀ x0` for the third. All have
//! `Ay = x` and -5 ≤ y ≤ 5, and
//!
//! | | objective | rows |
//! |---|---|---|
//! | convex qp | `½ yᵀQy + pᵀy` | `Gy ≤ h` |
//! | convex qcqp | the same | `½ yᵀH_i y + G_i y ≤ h_i` |
//! | convex socp | the same | `‖G_i y + h_i‖ ≤ C_iᵀy + d_i` |
//! | non-convex qp | `½ yᵀQy + pᵀ sin(y)` | `G sin(y) ≤ h cos(x)` |
//! | non-convex qcqp | the same | `½ yᵀH_i y + G_i cos(y) ≤ h_i` |
//! | non-convex socp | the same | `‖G_i cos(y) + h_i‖ ≤ C_iᵀy + d_i` |
//!
//! Sizes are 100/50/50 with 10 000 samples as in the files of that name; two of the scripts have 200/100/100
//! and 20 000. The split is `torch.utils.data.random_split` with the same seed: `torch.randperm`, reproduced
//! to the last index, and a tenth and a fifth of the samples for validation and test.
//!
//! `A⁺x` is feasible in the convex qp, but for the box. Whether every sample of the other families is
//! feasible is not known beforehand: the authors' solvers found points for all of theirs.

mod draw;
mod problem;
mod rows;

pub use draw::FsNetFamily;
pub use problem::FsNetProblem;
