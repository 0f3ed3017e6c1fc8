"""Styles of real documents: letters that change from section to section, layers, arguments and names as authors write them."""

import pytest

from symbackprop.audit.audit import Audit, audit


def judged(text: str) -> Audit:
    return audit(text, "md")


def statuses(text: str) -> list[str]:
    return [j.status for j in judged(text).judgements if j.status not in ("DEFINITION", "NOTATION")]


def test_letters_mean_in_a_section_what_it_says_itself():
    text = r"""
# One dimension
$$y_i = \sum_{k=0}^{K-1} w_k x_{i+k} + b$$
With $\delta_i = \frac{\partial L}{\partial y_i}$,
$$\frac{\partial L}{\partial w_k} = \sum_i \delta_i x_{i+k}$$
$$\frac{\partial L}{\partial w_k} = \sum_i \delta_i x_{i-k}$$
# Two
$$z_{i,j} = \sum_m \sum_n w_{m,n} a_{i+m, j+n}$$
$$\frac{\partial L}{\partial w_{m,n}} = \sum_i \sum_j \frac{\partial L}{\partial z_{i,j}} a_{i+m,j+n}$$
"""
    assert statuses(text) == ["PROVED", "REFUTED", "PROVED"]
    assert any("what these lines say alone" in told for told in judged(text).assumptions)


def test_a_section_that_speaks_of_another_is_not_read_alone():
    text = r"""
# The layer
$$z_i = \sum_j w_{ij} x_j$$
$$a_i = \sigma(z_i)$$
# The cost
$$E = \sum_i a_i^2$$
$$\frac{\partial E}{\partial w_{ij}} = 2 a_i x_j$$
"""
    assert statuses(text) == ["REFUTED"]


def test_a_vector_in_one_function_and_data_in_another():
    text = r"""
Let $f(x) = \frac12 x^\top A x + b^\top x$.
$$\nabla f(x) = \frac12 (A + A^\top) x + b$$
$$\nabla f(x) = A x - b$$
$$F(w) = \sum_i \log(1 + \exp(-y_i w^\top x_i))$$
"""
    assert statuses(text) == ["PROVED", "REFUTED"]


@pytest.mark.parametrize("bar", ["|", r"\mid "])
def test_arguments_over_which_sums_run_are_indices(bar):
    text = r"""
$$\pi_\theta(a|s) = \frac{e^{\theta^T\phi(s,a)}}{\sum_b e^{\theta^T\phi(s,b)}}$$
$$\nabla_\theta \log \pi_\theta(a|s) = \phi(s,a) - \sum_b \pi_\theta(b|s) \phi(s,b)$$
$$\nabla_\theta \log \pi_\theta(a|s) = \phi(s,a) + \sum_b \pi_\theta(b|s) \phi(s,b)$$
"""
    assert statuses(text.replace("|", bar)) == ["PROVED", "REFUTED"]


def test_what_stands_in_the_place_of_an_index_is_one():
    text = r"""
$$\pi_a = \frac{e^{H_a}}{\sum_{b=1}^k e^{H_b}}$$
$$\frac{\partial \pi_x}{\partial H_a} = \pi_x (\mathbb{1}_{a=x} - \pi_a)$$
$$\frac{\partial \pi_x}{\partial H_a} = \pi_x (\mathbb{1}_{a=x} - \pi_x)$$
"""
    assert statuses(text) == ["PROVED", "REFUTED"]


def test_a_letter_with_a_number_is_a_name():
    text = r"""
$$net_{o1} = w_5 \cdot out_{h1} + w_6 \cdot out_{h2} + b_2, \quad out_{o1} = \frac{1}{1+e^{-net_{o1}}}$$
$$\frac{\partial out_{o1}}{\partial net_{o1}} = out_{o1}(1 - out_{o1}), \quad \frac{\partial net_{o1}}{\partial w_5} = out_{h1}$$
$$\frac{\partial net_{o1}}{\partial w_5} = w_5$$
"""
    assert statuses(text) == ["PROVED", "PROVED", "REFUTED"]


def test_layers_may_be_called_k():
    text = r"""
$$a^{(k)} = b^{(k)} + W^{(k)} h^{(k-1)}, \quad h^{(k)} = f(a^{(k)})$$
$$\nabla_{W^{(k)}} J = (\nabla_{a^{(k)}} J) h^{(k-1)\top}$$
$$\nabla_{h^{(k-1)}} J = W^{(k)} \nabla_{a^{(k)}} J$$
"""
    assert statuses(text) == ["PROVED", "REFUTED"]


def test_what_a_program_assigns_to_is_not_refuted():
    text = r"""
$$a^{(k)} = b^{(k)} + W^{(k)} h^{(k-1)}, \quad h^{(k)} = f(a^{(k)})$$
$$g \leftarrow g \odot f'(a^{(k)})$$
$$\nabla_{b^{(k)}} J = g$$
"""
    assert statuses(text) == ["UNDECIDED"]


def test_layers_in_square_brackets_beside_examples_in_round_ones():
    text = r"""
$$J = -\frac1m \sum_{i=1}^m \left( y^{(i)} \log a^{[2](i)} + (1-y^{(i)}) \log(1 - a^{[2](i)}) \right)$$
$$z^{[2](i)} = W^{[2]} a^{[1](i)} + b^{[2]}, \quad a^{[2](i)} = \sigma(z^{[2](i)})$$
where $\sigma$ is the sigmoid.
$$\frac{\partial J}{\partial z^{[2](i)}} = \frac1m (a^{[2](i)} - y^{(i)})$$
$$\frac{\partial J}{\partial z^{[2](i)}} = a^{[2](i)} - y^{(i)}$$
"""
    assert statuses(text) == ["PROVED", "REFUTED"]


COST = r"""
$$h_\theta(x) = \theta^T x$$
$$J(\theta) = \frac{1}{2m} \sum_{i=1}^m (h_\theta(x^{(i)}) - y^{(i)})^2 + \frac{\lambda}{2m} \sum_j \theta_j^2$$
WORDS
$$\frac{\partial J}{\partial \theta_j} = (h_\theta(x) - y) x_j$$
"""


@pytest.mark.parametrize(
    ("words", "status"),
    [
        ("For a single example $(x, y)$, without regularization,", "PROVED IF"),
        ("For a single example we would go on. Over all examples", "REFUTED"),
        ("Hence", "REFUTED"),
    ],
)
def test_the_cost_of_one_example_is_meant_where_the_words_say_so(words, status):
    assert statuses(COST.replace("WORDS", words)) == [status]


def test_a_cost_that_is_only_named_may_be_made_of_another():
    text = r"""
$$D = -\frac12 \sum_j (1 + \log \sigma_j^2 - \mu_j^2 - \sigma_j^2), \quad z_j = \mu_j + \sigma_j \epsilon_j$$
$$\frac{\partial D}{\partial \mu_j} = \mu_j$$
$$\frac{\partial L}{\partial \sigma_j} = \frac{\partial L}{\partial z_j} \epsilon_j$$
"""
    assert statuses(text) == ["PROVED", "PROVED IF"]


def test_entries_of_the_identity_and_lists_of_arguments():
    text = r"""
$$y_{nk} = \frac{\exp(a_{nk})}{\sum_j \exp(a_{nj})}, \quad a_{nk} = \mathbf{w}_k^T \phi_n$$
$$\frac{\partial y_{nk}}{\partial a_{nj}} = y_{nk} (I_{kj} - y_{nj})$$
$$E(\mathbf{w}_1, \ldots, \mathbf{w}_K) = -\sum_n \sum_k t_{nk} \ln y_{nk}$$
with $\sum_k t_{nk} = 1$.
$$\nabla_{\mathbf{w}_j} E(\mathbf{w}_1, \ldots, \mathbf{w}_K) = \sum_n (y_{nj} - t_{nj}) \phi_n$$
$$\nabla_{\mathbf{w}_j} E(\mathbf{w}_1, \ldots, \mathbf{w}_K) = \sum_n (t_{nj} - y_{nj}) \phi_n$$
"""
    assert statuses(text) == ["PROVED", "PROVED", "REFUTED"]


def test_a_factorial_of_data_is_a_number():
    text = r"$$\ell = \sum_i (y_i \beta x_i - e^{\beta x_i} - \log y_i!)$$ $$\frac{\partial \ell}{\partial \beta} = \sum_i (y_i - e^{\beta x_i}) x_i$$"
    assert statuses(text) == ["PROVED"]


def test_a_row_that_goes_on_leaves_the_cost_what_it_is():
    text = r"""
\begin{align}
J &= \frac{1}{m} \sum_{i=1}^m (w x^{(i)} - y^{(i)})^2 \\
\frac{\partial J}{\partial w} &= 2 (w x - y) x \\
&= 2 x (w x - y)
\end{align}
"""
    assert statuses(text)[1] == "PROVED"


NEGATIVE = r"""
WORDS
$$J = -\log(\sigma(u_o^\top v_c)) - \sum_{k=1}^K \log(\sigma(-u_k^\top v_c))$$
with $\sigma$ the sigmoid function.
$$\frac{\partial J}{\partial u_o} = (\sigma(u_o^\top v_c) - 1) v_c$$
$$\frac{\partial J}{\partial u_o} = (1 - \sigma(u_o^\top v_c)) v_c$$
"""


@pytest.mark.parametrize(("words", "status"), [("With negative samples", "PROVED IF"), ("With", "UNDECIDED")])
def test_a_single_entry_beside_a_sum_over_others(words, status):
    assert statuses(NEGATIVE.replace("WORDS", words)) == [status, "REFUTED"]


def test_a_letter_on_the_right_of_a_definition_alone_is_a_label():
    text = r"""
$$\hat{y}_o = P(O = o | C = c) = \frac{\exp(u_o^\top v_c)}{\sum_w \exp(u_w^\top v_c)}$$
$J = -\sum_w y_w \log \hat{y}_w$ with a one-hot vector $y$.
$$\frac{\partial J}{\partial v_c} = \sum_w (\hat{y}_w - y_w) u_w$$
$$\frac{\partial J}{\partial u_w} = (\hat{y}_w - y_w) u_w$$
"""
    assert statuses(text) == ["PROVED", "REFUTED"]


def test_the_cost_of_one_entry_is_one_for_each():
    text = r"""
$$p_c = \frac{e^{z_c}}{\sum_k e^{z_k}}, \quad L = -\log p_c$$
$$\frac{\partial L}{\partial z_k} = p_k - \delta_{kc}$$
$$\frac{\partial L}{\partial z_k} = p_k$$
$$\frac{\partial L}{\partial z_c} = p_c - 1$$
"""
    assert statuses(text) == ["PROVED", "REFUTED", "PROVED"]


def test_numbers_may_name_quantities_of_different_ranks():
    text = r"""
$$h = \mathrm{ReLU}(W_1 x + b_1), \quad \hat{y} = w_2^\top h + b_2$$
$$\ell = \frac{1}{2}(\hat{y} - y)^2$$
$$\frac{\partial \ell}{\partial w_2} = (\hat{y} - y) h$$
$$\frac{\partial \ell}{\partial b_2} = y - \hat{y}$$
"""
    assert statuses(text) == ["PROVED", "REFUTED"]


def test_a_quantity_of_a_pair_is_one_of_two_different_ones():
    text = r"""
$$P_{ij} = \frac{1}{1 + e^{-(s_i - s_j)}}, \quad C_{ij} = -t_{ij} \log P_{ij} - (1 - t_{ij}) \log(1 - P_{ij})$$
$$\frac{\partial C_{ij}}{\partial s_i} = P_{ij} - t_{ij}$$
$$\frac{\partial C_{ij}}{\partial s_j} = P_{ij} - t_{ij}$$
"""
    found = [j for j in judged(text).judgements if j.status != "DEFINITION"]
    assert [(j.status, j.conditions) for j in found] == [("PROVED IF", ("i ≠ j",)), ("REFUTED", ())]


def test_a_name_of_an_operator_claims_nothing():
    text = r"""
$$S_j = \frac{e^{a_j}}{\sum_k e^{a_k}}$$
We write $D_j S_i = \frac{\partial S_i}{\partial a_j}$.
"""
    assert statuses(text) == []


def test_a_section_that_opens_with_another_definition_is_judged_by_it():
    text = r"""
# Squares
$$\ell = \sum_i (w x_i - y_i)^2$$
# Absolute values
$$\ell = \sum_i \log \cosh(w x_i - y_i)$$
$$\frac{\partial \ell}{\partial w} = \sum_i \tanh(w x_i - y_i) x_i$$
"""
    assert statuses(text) == ["PROVED"]


def test_numbered_times_end_before_the_first():
    text = r"""
$$s_t = \tanh(U x_t + W s_{t-1}), \quad \hat{y}_t = \mathrm{softmax}(V s_t), \quad z_3 = V s_3$$
$$E_t(y_t, \hat{y}_t) = -y_t \log \hat{y}_t, \quad E(y, \hat{y}) = \sum_t E_t(y_t, \hat{y}_t)$$
where $y_t$ is one-hot.
$$\frac{\partial E_3}{\partial V} = \frac{\partial E_3}{\partial \hat{y}_3}\frac{\partial \hat{y}_3}{\partial V} = (\hat{y}_3 - y_3) \otimes s_3$$
"""
    assert "REFUTED" not in statuses(text)
    assert statuses(text)[1] == "PROVED"


PROGRAM = r"""
$$Z = X W_1, \quad A = \tanh(Z), \quad S = A W_2, \quad J = \frac{1}{2} \|S - Y\|_F^2$$
$$dS = S - Y$$
$$dW_2 = A^T dS$$
$$dA = dS W_2^T$$
$$dZ = FORMULA$$
$$dW_1 = X^T dZ$$
"""


@pytest.mark.parametrize(("formula", "status"), [("dA * (1 - A^2)", "PROVED"), ("dA * (1 - A)", "REFUTED")])
def test_names_of_gradients_that_nothing_explains(formula, status):
    assert statuses(PROGRAM.replace("FORMULA", formula)) == ["PROVED"] * 3 + [status, "PROVED"]


def test_names_under_which_most_is_wrong_are_names_of_something_else():
    text = PROGRAM.replace("FORMULA", "dA * (1 - A^2)").replace("A^T dS", r"\frac1m A^T dS")
    text = (
        text.replace("dS = S - Y", r"dS = m (S - Y)")
        .replace("X^T dZ", r"\frac1m X^T dZ")
        .replace("dS W_2^T", "2 dS W_2^T")
    )
    assert "REFUTED" not in statuses(text)


def test_a_loss_of_numbered_weights_beside_names_of_their_gradients():
    text = r"""
With $H = \max(0, X W_1 + b_1)$, $S = H W_2 + b_2$ and the loss $L$,
$$\frac{\partial L}{\partial W_2} = H^T \frac{\partial L}{\partial S}$$
$$dW_2 = H^T dS$$
$$db_2 = \sum_n dS_n$$
$$dH = dS W_2^T$$
$$dW_1 = X^T dH$$
"""
    assert statuses(text) == ["PROVED"] * 4 + ["REFUTED"]


def test_what_is_open_does_not_hang_on_the_order_of_sets():
    text = r"""
$$h_t = \tanh(W h_{t-1} + U x_t), \quad o_t = V h_t, \quad p_t = \mathrm{softmax}(o_t)$$
The loss is $L = \sum_t L_t$ with $L_t = -\sum_k y_{t,k} \log p_{t,k}$ and one-hot targets.
$$\frac{\partial L}{\partial V} = \sum_t (p_t - y_t) h_t^T$$
"""
    assert statuses(text) == ["PROVED"]


def test_a_quantity_with_the_letters_of_counted_arguments_has_entries() -> None:
    text = r"""
Let $$\pi(a|s) = \frac{e^{h(s,a)}}{\sum_b e^{h(s,b)}}$$

$$\frac{\partial \log \pi(a|s)}{\partial h(s,b)} = 1[a=b] - \pi(OF|s)$$
"""
    for letter, status in (("b", "PROVED"), ("a", "REFUTED")):
        assert audit(text.replace("OF", letter), "md").judgements[-1].status == status
