"""Networks as they are trained in practice, beside the theory: training on frozen or fresh noise, at one level or many.

Any Equinox module or callable f(y, level) -> R^d can be trained; supplied are a perceptron, a small U-Net for images
and the random-feature network of this package.
"""

from rfdsm.networks import judge as judge, levels as levels
from rfdsm.networks._laws import Gaussian as Gaussian, gaussian as gaussian, gaussian_images as gaussian_images
from rfdsm.networks._mlp import MLP as MLP, mlp as mlp
from rfdsm.networks._random_features import (
    RandomFeatureNetwork as RandomFeatureNetwork,
    random_features as random_features,
)
from rfdsm.networks._study import study as study
from rfdsm.networks._times import over_time as over_time
from rfdsm.networks._train import Training as Training, parameters as parameters, train as train
from rfdsm.networks._unet import UNet as UNet, unet as unet
