"""The lessons as notebooks: found, run with papermill, recorded, swept and reported."""

from kdhelpers.course.notebook import Notebook, find_lessons
from kdhelpers.course.records import load_records, write_record
from kdhelpers.course.root import CourseError, find_root

__all__ = ["CourseError", "Notebook", "find_lessons", "find_root", "load_records", "write_record"]
