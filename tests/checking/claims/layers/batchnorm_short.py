"""Batch normalisation, training mode, dx in one line.

backward          PROVED
backward_wrong_1  REFUTED  x            the term with the normalised x is missing
backward_wrong_2  REFUTED  x            not divided by the batch size
backward_wrong_3  REFUTED  x            gamma is left out of dx
backward_wrong_4  REFUTED  gamma, beta  mean over the batch where it should be the sum
"""

SHAPES = {"x": ("N", "D"), "gamma": ("D",), "beta": ("D",)}


def normalise(x, eps):
    centred = x - x.mean(axis=0, keepdims=True)
    inv_std = (x.var(axis=0, keepdims=True) + eps) ** -0.5
    return centred * inv_std, inv_std


def forward(x, gamma, beta, eps=1e-5):
    xhat, _ = normalise(x, eps)
    return gamma * xhat + beta


def backward(dout, x, gamma, beta, eps=1e-5):
    N, D = x.shape
    xhat, inv_std = normalise(x, eps)
    dbeta = dout.sum(axis=0)
    dgamma = (dout * xhat).sum(axis=0)
    dx = gamma * inv_std / N * (N * dout - dbeta - xhat * dgamma)
    return {"x": dx, "gamma": dgamma, "beta": dbeta}


def backward_wrong_1(dout, x, gamma, beta, eps=1e-5):
    N, D = x.shape
    xhat, inv_std = normalise(x, eps)
    dbeta = dout.sum(axis=0)
    dgamma = (dout * xhat).sum(axis=0)
    dx = gamma * inv_std / N * (N * dout - dbeta)
    return {"x": dx, "gamma": dgamma, "beta": dbeta}


def backward_wrong_2(dout, x, gamma, beta, eps=1e-5):
    N, D = x.shape
    xhat, inv_std = normalise(x, eps)
    dbeta = dout.sum(axis=0)
    dgamma = (dout * xhat).sum(axis=0)
    dx = gamma * inv_std * (N * dout - dbeta - xhat * dgamma)
    return {"x": dx, "gamma": dgamma, "beta": dbeta}


def backward_wrong_3(dout, x, gamma, beta, eps=1e-5):
    N, D = x.shape
    xhat, inv_std = normalise(x, eps)
    dbeta = dout.sum(axis=0)
    dgamma = (dout * xhat).sum(axis=0)
    dx = inv_std * (dout - dbeta / N - xhat * dgamma / N)
    return {"x": dx, "gamma": dgamma, "beta": dbeta}


def backward_wrong_4(dout, x, gamma, beta, eps=1e-5):
    grads = backward(dout, x, gamma, beta, eps)
    _, xhat = None, normalise(x, eps)[0]
    grads["gamma"] = (dout * xhat).mean(axis=0)
    grads["beta"] = dout.mean(axis=0)
    return grads
