import unittest

from service import answer


class Answer(unittest.TestCase):
    def test_only_the_home_page_is_there(self):
        self.assertEqual([answer("/"), answer("/x")], ["home", "not found"])
