"""The tests that every database must pass: a mixin a subject, put together by `store_suite`."""
