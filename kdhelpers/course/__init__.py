"""The lessons as notebooks: found, run with papermill, recorded, swept and reported."""

from kdhelpers.course.lesson import Notebook, Parameter, find_lessons
from kdhelpers.course.plans import Plan, plan
from kdhelpers.course.records import (
    RECORD_FILE,
    CourseError,
    find_root,
    load_records,
    write_record,
)
from kdhelpers.course.run import Outcome, execute, prepare_folder, run

__all__ = ["RECORD_FILE", "CourseError", "Notebook", "Outcome", "Parameter", "Plan", "execute"]
__all__ += ["find_lessons", "find_root", "load_records", "plan", "prepare_folder", "run"]
__all__ += ["write_record"]
