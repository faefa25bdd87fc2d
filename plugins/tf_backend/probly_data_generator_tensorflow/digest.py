"""What tells a model's weights from others."""

from typing import Any

from probly.data_generator.toolkit.digest import digest
from probly_data_generator_tensorflow.models import variables_of


def digest_of_variables(module: Any) -> str:
    """Return the digest of all variables in their order, or an empty string where there are none.

    What a plain function refers to cannot be seen.

    Examples:
        >>> digest_of_variables(abs)
        ''
    """
    # Keras numbers its names per process, so the order has to tell the variables apart.
    variables = variables_of(module)
    return digest((str(number), variable.numpy()) for number, variable in enumerate(variables)) if variables else ""
