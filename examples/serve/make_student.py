"""Distil a student on PhotoDigits in some seconds and write it to student.onnx.

Needs kdhelpers with the extra `deploy`; the service does not.
"""

import kdhelpers as kd

digits = kd.load("photodigits")
student = kd.build("small_cnn", width=0.25, seed=0)
objective = kd.Distillation(kd.shipped_teacher("photodigits"), temperature=4.0, alpha=0.9)
kd.fit(student, objective, digits.train, epochs=8, batch_size=64, lr=3e-3)
print(f"test accuracy: {kd.evaluate(student, digits.test)['accuracy']:.1%}")
print(kd.export_onnx(student, "student.onnx", digits.train))
