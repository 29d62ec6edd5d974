"""The lessons as notebooks: found, run with papermill, recorded, swept and reported."""

from kdhelpers.course.lessons import CourseError, Lesson, Parameter, find_lessons, find_root
from kdhelpers.course.plans import Plan, plan
from kdhelpers.course.records import RECORD_FILE, load_records, write_record
from kdhelpers.course.run import Outcome, execute, prepare_folder, run

__all__ = ["RECORD_FILE", "CourseError", "Lesson", "Outcome", "Parameter", "Plan", "execute"]
__all__ += ["find_lessons", "find_root", "load_records", "plan", "prepare_folder", "run"]
__all__ += ["write_record"]
