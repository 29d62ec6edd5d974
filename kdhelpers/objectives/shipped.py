"""The teachers that ship with the course, so that their training blocks nobody."""

from importlib import resources

from kdhelpers._values import check_choice
from kdhelpers.models.shipped import teacher_for
from kdhelpers.objectives.recorded import RecordedTeacher
from kdhelpers.objectives.teacher import Teacher

FILE = "cifar10_vgg16.npz"
SHA256 = "360ff11ffb515cc492d51d35ff05594dec67d386c21dc8bbdbeab9f1c75d56b1"


def shipped_teacher(dataset: str) -> Teacher:
    """The teacher of a data set.

    - "photodigits": VGG16 at an eighth of its width, a network (`tools/ship_weights.py teacher`);
    - "cifar10": what VGG16 at full width answers for every picture of `data.load("cifar10")`, as it
      is and mirrored; 92.69 % of the test pictures as they are, 93.60 % with both averaged
      (`tools/record_teacher.py`; its `provenance` says more).

    Raises:
        ValueError: another data set.
        OSError: the file is missing or not the one that belongs to this version.
    """
    check_choice(dataset, ["photodigits", "cifar10"], name="dataset")
    if dataset == "photodigits":
        return Teacher(teacher_for(dataset), cache=True)
    with resources.as_file(resources.files("kdhelpers.objectives") / "answers" / FILE) as path:
        try:
            return RecordedTeacher.load(path, sha256=SHA256)
        except ValueError as error:
            told = "in a checkout `git restore kdhelpers/objectives/answers`"
            raise OSError(f"{error} Install again, or {told}.") from error
