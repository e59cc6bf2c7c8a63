import unittest

from greeting import greeting


class Greeting(unittest.TestCase):
    def test_a_blank_name_is_everybody(self):
        self.assertEqual(greeting("Ada"), "Hello, Ada!")
        self.assertEqual(greeting(" "), "Hello, everybody!")
