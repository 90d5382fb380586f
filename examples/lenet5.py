"""LeNet-5 as the lectures write it in Keras: only the import lines are ours. Its weights are drawn, not trained."""

import numpy as np

from cnnfast import Sequential, datasets
from cnnfast.layers import AveragePooling2D, Conv2D, Dense, Flatten

model = Sequential()
model.add(Conv2D(6, kernel_size=(5, 5), padding="valid", activation="tanh", input_shape=(32, 32, 1)))
model.add(AveragePooling2D(pool_size=(2, 2), strides=2, padding="valid"))
model.add(Conv2D(16, kernel_size=(5, 5), padding="valid", activation="tanh"))
model.add(AveragePooling2D(pool_size=(2, 2), strides=2, padding="valid"))
model.add(Flatten())
model.add(Dense(120, activation="tanh"))
model.add(Dense(84, activation="tanh"))
model.add(Dense(10, activation="softmax"))
model.summary()

(x_train, _), _ = datasets.digits.load_data()  # 8x8, 0 to 16; scikit-learn's
pictures = np.repeat(np.repeat(x_train, 4, axis=1), 4, axis=2)[..., np.newaxis] / 16
print(model.predict(pictures).argmax(axis=1)[:20])
