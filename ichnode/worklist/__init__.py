"""The worklist: rows are facts, and every state change of the product is one named function in this package.

The only importer of sqlalchemy and alembic.
"""

from ichnode.worklist import model_tables as model_tables  # its tables belong to the schema
from ichnode.worklist import people as people  # its tables belong to the schema
from ichnode.worklist import standing_table as standing_table  # its table belongs to the schema
from ichnode.worklist import upkeep_tables as upkeep_tables  # its tables belong to the schema
from ichnode.worklist import workitem_tables as workitem_tables  # its tables belong to the schema
