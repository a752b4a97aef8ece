"""`audit`: do the published numbers agree with each other?"""
