"""Networks as they are trained in practice, beside the theory: training on frozen or fresh noise, at one level or many.

Any Equinox module or callable f(y, level) -> R^d can be trained; supplied are a perceptron, a small U-Net for images
and the random-feature network of this package.
"""

from rfdsm.networks import judge as judge
from rfdsm.networks import levels as levels
from rfdsm.networks.laws import Gaussian as Gaussian
from rfdsm.networks.laws import gaussian as gaussian
from rfdsm.networks.laws import gaussian_images as gaussian_images
from rfdsm.networks.mlp import MLP as MLP
from rfdsm.networks.mlp import mlp as mlp
from rfdsm.networks.random_features import RandomFeatureNetwork as RandomFeatureNetwork
from rfdsm.networks.random_features import random_features as random_features
from rfdsm.networks.study import study as study
from rfdsm.networks.times import over_time as over_time
from rfdsm.networks.train import train as train
from rfdsm.networks.training import Training as Training
from rfdsm.networks.unet import UNet as UNet
from rfdsm.networks.unet import unet as unet
